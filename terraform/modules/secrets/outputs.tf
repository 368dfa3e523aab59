output "arns" {
  description = "By name, the ARN of the secret."
  value       = { for name, s in aws_secretsmanager_secret.source : name => s.arn }
}

output "references" {
  description = "By name, how a pipeline refers to the secret."
  value       = { for name, s in aws_secretsmanager_secret.source : name => "aws-secretsmanager:${s.name}" }
}
