output "database" {
  description = "Name of the Glue database."
  value       = aws_glue_catalog_database.lake.name
}

output "workgroup" {
  description = "Name of Athena's workgroup; null: there is none."
  value       = one(aws_athena_workgroup.lake[*].name)
}

output "crawler" {
  description = "Name of the crawler; null: there is none."
  value       = one(aws_glue_crawler.lake[*].name)
}
