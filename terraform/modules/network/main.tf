# Functions in subnets, for sources that can be reached in a VPC only, and for accounts where nothing may go out by the internet.
#
# Either a VPC of your own (vpc_id, subnet_ids, route_table_ids) or one that is made here (cidr): two subnets without any way to the internet, for
# which the endpoints stand in. Interface endpoints cost by the hour, each, in each subnet: docs/aws.md has the sum.

locals {
  made = length(var.subnet_ids) == 0 # and not vpc_id == null: the id of a VPC that is yet to be made would not do

  vpc_id          = local.made ? aws_vpc.lakestep[0].id : var.vpc_id
  subnet_ids      = local.made ? aws_subnet.private[*].id : var.subnet_ids
  route_table_ids = local.made ? aws_route_table.private[*].id : var.route_table_ids
}

data "aws_availability_zones" "here" {
  #checkov:skip=CKV_AWS_394:The list is looked at once, when the subnets are made: they ignore what it says later.
  count = local.made ? 1 : 0

  state = "available"

  filter { # no Local Zones
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "lakestep" {
  #checkov:skip=CKV2_AWS_11:No traffic leaves this VPC but to AWS's own endpoints, whose calls CloudTrail has; flow logs cost by the GB. Add aws_flow_log where rules ask for them.
  #checkov:skip=CKV2_AWS_12:Nothing is in the default group: the functions and endpoints have groups of their own.
  count = local.made ? 1 : 0

  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # private names of the endpoints

  tags = { Name = var.name }
}

resource "aws_subnet" "private" {
  count = local.made ? 2 : 0

  vpc_id            = aws_vpc.lakestep[0].id
  cidr_block        = cidrsubnet(var.cidr, 2, count.index)
  availability_zone = data.aws_availability_zones.here[0].names[count.index]

  tags = { Name = "${var.name}-private-${count.index}" }

  lifecycle {
    ignore_changes = [availability_zone] # a new zone in the list must not move a subnet
  }
}

resource "aws_route_table" "private" {
  count = local.made ? 1 : 0

  vpc_id = aws_vpc.lakestep[0].id

  tags = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "private" {
  count = local.made ? 2 : 0

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[0].id
}
