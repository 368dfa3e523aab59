# The lake's bucket: landing files and tables in one, each under a prefix of its own.
#
# One bucket and not two: a run reads landing files and writes tables in the same breath, one key and one policy protect both, and every rule
# below is bound to a prefix. What S3 says of the tables' own objects reaches EventBridge too (1 USD a million), and no rule there lets it pass.

locals {
  bucket_name = coalesce(var.bucket_name, "${var.name}-data-lake-${var.account.id}-${var.account.region}")
  key_arn     = var.kms_key_arn == null ? aws_kms_key.lake[0].arn : var.kms_key_arn
}

resource "aws_s3_bucket" "lake" {
  #checkov:skip=CKV_AWS_144:A copy in a second region doubles the cost and is the user's choice; tables are made again from the landing files.
  #checkov:skip=CKV_AWS_18:Access logs want a bucket of the account's own; variable access_log_bucket names it.
  bucket        = local.bucket_name
  force_destroy = !var.protect_data
}

# Readers of Delta tables and lakestep itself rely on it that the owner of the bucket owns each object.
resource "aws_s3_bucket_ownership_controls" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket = aws_s3_bucket.lake.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# What was deleted or replaced can be had again for noncurrent_days: the net under every other net.
resource "aws_s3_bucket_versioning" "lake" {
  bucket = aws_s3_bucket.lake.id

  versioning_configuration {
    status = "Enabled"
  }
}

# The bucket key lets S3 ask KMS once for many objects: without it every GET and PUT would be a request to KMS.
resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = local.key_arn
    }
  }
}

# Events go to EventBridge, where module triggers picks those of the landing prefix.
resource "aws_s3_bucket_notification" "lake" {
  bucket      = aws_s3_bucket.lake.id
  eventbridge = true
}

resource "aws_s3_bucket_logging" "lake" {
  count = var.access_log_bucket == null ? 0 : 1

  bucket        = aws_s3_bucket.lake.id
  target_bucket = var.access_log_bucket
  target_prefix = "${local.bucket_name}/"
}

resource "aws_s3_bucket_policy" "lake" {
  bucket     = aws_s3_bucket.lake.id
  depends_on = [aws_s3_bucket_public_access_block.lake] # changes of both at once are refused

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "DenyWithoutTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.lake.arn, "${aws_s3_bucket.lake.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "DenyOldTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.lake.arn, "${aws_s3_bucket.lake.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
      # Who sends a file without a word on encryption gets the bucket's key. Another way of encryption, or another key, would give files that the
      # functions cannot read.
      {
        Sid       = "DenyOtherEncryption"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.lake.arn}/*"
        Condition = {
          Null            = { "s3:x-amz-server-side-encryption" = "false" }
          StringNotEquals = { "s3:x-amz-server-side-encryption" = "aws:kms" }
        }
      },
      {
        Sid       = "DenyOtherKeys"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.lake.arn}/*"
        Condition = {
          Null            = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" }
          StringNotEquals = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = local.key_arn }
        }
      },
    ]
  })
}
