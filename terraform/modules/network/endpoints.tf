# Without an endpoint for each service that the functions call, a function in a VPC without a way out waits until its time is up.

# S3 by the gateway, which costs nothing. Only buckets of this account, so that nobody carries data off through it.
resource "aws_vpc_endpoint" "s3" {
  count = contains(var.endpoints, "s3") ? 1 : 0

  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${var.account.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_table_ids

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = "*"
      Action    = "s3:*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:ResourceAccount" = concat([var.account.id], var.bucket_accounts) } }
    }]
  })

  tags = { Name = "${var.name}-s3" }
}

resource "aws_vpc_endpoint" "service" {
  for_each = setsubtract(var.endpoints, ["s3"])

  vpc_id              = local.vpc_id
  service_name        = "com.amazonaws.${var.account.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.subnet_ids
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true

  tags = { Name = "${var.name}-${each.value}" }
}

resource "aws_security_group" "functions" {
  #checkov:skip=CKV2_AWS_5:The functions are in it: modules/functions has it as security_group_ids.
  name        = "${var.name}-functions"
  description = "lakestep ${var.name}: the functions"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.name}-functions" }
}

resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = "lakestep ${var.name}: endpoints of AWS services"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id            = aws_security_group.endpoints.id
  description                  = "The functions' calls of AWS services"
  referenced_security_group_id = aws_security_group.functions.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.functions.id
  description                  = "To the endpoints of AWS services"
  referenced_security_group_id = aws_security_group.endpoints.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  count = contains(var.endpoints, "s3") ? 1 : 0

  security_group_id = aws_security_group.functions.id
  description       = "To S3 by the gateway"
  prefix_list_id    = aws_vpc_endpoint.s3[0].prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# Databases, brokers and registries.
resource "aws_vpc_security_group_egress_rule" "source" {
  for_each = var.sources

  security_group_id = aws_security_group.functions.id
  description       = "To the source ${each.key}"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}
