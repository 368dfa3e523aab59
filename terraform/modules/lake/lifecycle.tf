# What ages, and what must not.
#
# Landing files are read once and then kept: the plan's rules move them to cheaper classes and drop them after seven years.
#
# Files of tables must not age. A Delta table is all files that its log names, however old: a rule by age would archive or expire *live* files, and
# the table with them. What a table does not need any more is deleted by maintenance (docs/maintenance.md), which knows the log. In a bucket with
# versions such a deletion leaves a noncurrent version, and that does age. Beside those only objects that somebody tagged lakestep=removed go, for
# tools that tag a file after its tombstone instead of deleting it; lakestep itself deletes.

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket     = aws_s3_bucket.lake.id
  depends_on = [aws_s3_bucket_versioning.lake] # rules for versions want them to be on

  # Small objects stay where they are: a transition would cost more than it saves.
  transition_default_minimum_object_size = "all_storage_classes_128K"

  rule {
    id     = "landing-files-age"
    status = "Enabled"

    filter {
      prefix = "${var.landing_prefix}/"
    }

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

  rule {
    id     = "noncurrent-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true # what is left when the last version is gone
    }
  }

  rule {
    id     = "removed-by-tag"
    status = "Enabled"

    filter {
      and {
        prefix = "${var.lake_prefix}/"
        tags   = { lakestep = "removed" }
      }
    }

    expiration {
      days = var.removed_days
    }
  }

  # The parts of a writer that died are invisible, and paid for.
  rule {
    id     = "incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  rule {
    id     = "athena-results"
    status = "Enabled"

    filter {
      prefix = "${var.athena_prefix}/"
    }

    expiration {
      days = 7
    }
  }
}
