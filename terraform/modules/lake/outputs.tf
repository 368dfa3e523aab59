output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.lake.bucket
  depends_on = [
    # whoever writes there finds it encrypted, versioned and closed
    aws_s3_bucket_ownership_controls.lake,
    aws_s3_bucket_policy.lake,
    aws_s3_bucket_server_side_encryption_configuration.lake,
    aws_s3_bucket_versioning.lake,
  ]
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.lake.arn
}

output "lake_url" {
  description = "Where the tables are: for lakestep --lake."
  value       = "s3://${aws_s3_bucket.lake.bucket}/${var.lake_prefix}"
}

output "landing_url" {
  description = "Where files land."
  value       = "s3://${aws_s3_bucket.lake.bucket}/${var.landing_prefix}"
}

output "lake_prefix" {
  description = "Folder of the bucket with the tables."
  value       = var.lake_prefix
}

output "landing_prefix" {
  description = "Folder of the bucket where files land."
  value       = var.landing_prefix
}

output "athena_prefix" {
  description = "Folder of the bucket for the results of Athena's queries."
  value       = var.athena_prefix
}

output "kms_key_arn" {
  description = "The key that encrypts all that the stack keeps."
  value       = local.key_arn
}
