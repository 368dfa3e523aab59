# tools/aws/*.sh read these.

output "bucket" {
  description = "Name of the lake's bucket."
  value       = module.lakestep.bucket
}

output "lake_url" {
  description = "The lake: for lakestep --lake."
  value       = module.lakestep.lake_url
}

output "landing_url" {
  description = "Where files land."
  value       = module.lakestep.landing_url
}

output "state_machine_arn" {
  description = "The pipeline's state machine."
  value       = module.lakestep.state_machine_arn
}

output "maintenance_arn" {
  description = "The state machine of maintenance."
  value       = module.lakestep.maintenance_arn
}

output "functions" {
  description = "By step, the name of its function."
  value       = module.lakestep.functions
}

output "queue_url" {
  description = "The queue of events."
  value       = module.lakestep.queue_url
}

output "dead_queue_url" {
  description = "The dead-letter queue."
  value       = module.lakestep.dead_queue_url
}

output "glue_database" {
  description = "Glue database of the tables."
  value       = module.lakestep.glue_database
}

output "athena_workgroup" {
  description = "Athena's workgroup."
  value       = module.lakestep.athena_workgroup
}

output "secrets" {
  description = "By name, how a pipeline refers to a secret."
  value       = module.lakestep.secrets
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = module.lakestep.dashboard
}
