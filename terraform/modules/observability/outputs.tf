output "topic_arn" {
  description = "ARN of the topic that alarms go to."
  value       = aws_sns_topic.alerts.arn
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.stack.dashboard_name
}
