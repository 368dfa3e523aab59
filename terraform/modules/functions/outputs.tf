output "aliases" {
  description = "By step, the ARN of its function's alias live."
  value       = { for name, a in aws_lambda_alias.live : name => a.arn }
}

output "names" {
  description = "By step, the name of its function."
  value       = { for name, f in aws_lambda_function.step : name => f.function_name }
}

output "roles" {
  description = "By step, the ARN of its function's role."
  value       = { for name, r in aws_iam_role.step : name => r.arn }
}

output "timeouts" {
  description = "By step, the seconds that an invocation may take."
  value       = { for name, s in local.settings : name => s.timeout_s }
}

output "log_groups" {
  description = "By step, the name of its function's log group."
  value       = { for name, g in aws_cloudwatch_log_group.step : name => g.name }
}

output "package_hash" {
  description = "SHA-256 of the package, in base64: CodeSha256 of the functions."
  value       = local.package_hash
}
