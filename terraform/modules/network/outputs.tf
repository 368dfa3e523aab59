output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "subnet_ids" {
  description = "Subnets for the functions."
  value       = local.subnet_ids
  depends_on  = [aws_vpc_endpoint.s3, aws_vpc_endpoint.service, aws_route_table_association.private]
}

output "security_group_id" {
  description = "The functions' security group: let it in where the sources are."
  value       = aws_security_group.functions.id
}
