output "queue_arn" {
  description = "ARN of the queue of events."
  value       = aws_sqs_queue.events.arn
}

output "queue_name" {
  description = "Name of the queue of events."
  value       = aws_sqs_queue.events.name
}

output "queue_url" {
  description = "URL of the queue of events, to send a request for a run to: {\"pipeline\": \"retail\", \"reason\": \"...\"}."
  value       = aws_sqs_queue.events.id
}

output "dead_queue_name" {
  description = "Name of the dead-letter queue."
  value       = aws_sqs_queue.dead.name
}

output "dead_queue_url" {
  description = "URL of the dead-letter queue."
  value       = aws_sqs_queue.dead.id
}

output "rules" {
  description = "By kind of event, the name of its rule."
  value       = { for name, r in aws_cloudwatch_event_rule.event : name => r.name }
}

output "schedule_group" {
  description = "Name of the schedules' group; null: there are none."
  value       = one(aws_scheduler_schedule_group.lakestep[*].name)
}
