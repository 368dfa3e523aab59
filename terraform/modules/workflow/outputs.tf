output "arns" {
  description = "By name, the ARN of the state machine."
  value       = { for name, m in aws_sfn_state_machine.machine : name => m.arn }
}

output "version_arns" {
  description = "By name, the ARN of the state machine's newest version."
  value       = { for name, m in aws_sfn_state_machine.machine : name => m.state_machine_version_arn }
}

output "log_groups" {
  description = "By name, the log group of the state machine."
  value       = { for name, g in aws_cloudwatch_log_group.machine : name => g.name }
}
