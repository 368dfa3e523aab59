resource "aws_s3_bucket" "lake" {
  versioning {
    enabled = true
  }

  server_side_encryption_configuration {
    rule {
      bucket_key_enabled = true
      apply_server_side_encryption_by_default {
        sse_algorithm     = "aws:kms"
        kms_master_key_id = local.key_arn
      }
    }
  }

  lifecycle_rule {
    id      = "landing-files-age"
    enabled = true
    prefix  = "${var.landing_prefix}/"
    transition {
      days          = var.landing_lifecycle.infrequent_days
      storage_class = "STANDARD_IA"
    }
    transition {
      days          = var.landing_lifecycle.archive_days
      storage_class = var.landing_lifecycle.archive_class
    }
    expiration {
      days = var.landing_lifecycle.expire_days
    }
  }

  lifecycle_rule {
    id      = "noncurrent-versions"
    enabled = true
    noncurrent_version_expiration {
      days = var.noncurrent_days
    }
    expiration {
      expired_object_delete_marker = true
    }
  }

  lifecycle_rule {
    id      = "removed-by-tag"
    enabled = true
    prefix  = "${var.lake_prefix}/"
    tags    = { lakestep = "removed" }
    expiration {
      days = var.removed_days
    }
  }

  lifecycle_rule {
    id                                     = "incomplete-uploads"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 2
  }

  lifecycle_rule {
    id      = "athena-results"
    enabled = true
    prefix  = "${var.athena_prefix}/"
    expiration {
      days = 7
    }
  }
}
