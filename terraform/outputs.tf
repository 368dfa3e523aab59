output "bucket" {
  description = "Name of the lake's bucket."
  value       = module.lake.bucket
}

output "lake_url" {
  description = "The lake: for lakestep --lake."
  value       = module.lake.lake_url
}

output "landing_url" {
  description = "Where files land."
  value       = module.lake.landing_url
}

output "kms_key_arn" {
  description = "The key that encrypts all that the stack keeps."
  value       = module.lake.kms_key_arn
}

output "state_machine_arn" {
  description = "The pipeline's state machine."
  value       = module.workflow.arns["medallion"]
}

output "maintenance_arn" {
  description = "The state machine of maintenance."
  value       = module.workflow.arns["maintenance"]
}

output "functions" {
  description = "By step, the name of its function."
  value       = module.functions.names
}

output "queue_url" {
  description = "The queue of events."
  value       = module.triggers.queue_url
}

output "dead_queue_url" {
  description = "The dead-letter queue."
  value       = module.triggers.dead_queue_url
}

output "glue_database" {
  description = "Glue database of the tables."
  value       = module.catalog.database
}

output "athena_workgroup" {
  description = "Athena's workgroup."
  value       = module.catalog.workgroup
}

output "secrets" {
  description = "By name, how a pipeline refers to a secret."
  value       = module.secrets.references
}

output "topic_arn" {
  description = "Where alarms are published."
  value       = module.observability.topic_arn
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = module.observability.dashboard
}

output "security_group_id" {
  description = "The functions' security group, when they run in a VPC: let it in where the sources are."
  value       = one(module.network[*].security_group_id)
}
