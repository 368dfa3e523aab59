# The Glue database that published tables are registered in (steps publish and complete do it), a workgroup for Athena, and the plan's crawler.

resource "aws_glue_catalog_database" "lake" {
  name        = local.database
  description = "Tables of the lakestep stack ${var.name}"
}

locals {
  database = coalesce(var.database, replace(var.name, "-", "_"))
}

# Where people look at the tables. Results are encrypted, go after a week (module lake), and a query that would read too much is stopped.
resource "aws_athena_workgroup" "lake" {
  count = var.athena ? 1 : 0

  name          = var.name
  description   = "Queries of the lakestep stack ${var.name}"
  force_destroy = true # the history of queries goes with it; no data are in it

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.athena_limit_gb * 1024 * 1024 * 1024

    result_configuration {
      output_location = "s3://${var.bucket}/${var.athena_prefix}/"

      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.kms_key_arn
      }
    }
  }
}
