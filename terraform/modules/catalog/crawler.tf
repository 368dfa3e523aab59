# The plan's crawler. Nobody needs it: publish registers each table when it has a new version. It is for tables in the lake that lakestep did not make.
#
# The plan pointed it at the folders as if they held plain Parquet. Of a Delta table it would then list every file, those too that left the table or
# belong to a commit that was never published, and readers would see rows twice or rows that failed their audit. So it reads the Delta log, of the
# tables that are named; and into a database of its own, because lakestep refuses entries in its database that it did not make (docs/catalog.md).

locals {
  crawler = length(var.crawler_tables) > 0 ? 1 : 0
  crawled = "${local.database}_crawled"
}

resource "aws_glue_catalog_database" "crawled" {
  count = local.crawler

  name        = local.crawled
  description = "Delta tables of the lakestep stack ${var.name} that a crawler found"
}

resource "aws_glue_crawler" "lake" {
  count = local.crawler

  name                   = "${var.name}-crawler"
  description            = "Delta tables of the lake that lakestep did not make"
  database_name          = aws_glue_catalog_database.crawled[0].name
  role                   = aws_iam_role.crawler[0].arn
  schedule               = var.crawler_schedule
  security_configuration = aws_glue_security_configuration.crawler[0].name

  delta_target {
    delta_tables              = [for t in var.crawler_tables : "s3://${var.bucket}/${var.lake_prefix}/${t}/"]
    create_native_delta_table = true
    write_manifest            = false
  }

  schema_change_policy {
    update_behavior = "UPDATE_IN_DATABASE"
    delete_behavior = "LOG" # a table that was away for a while is not forgotten
  }

  depends_on = [aws_iam_role_policy.crawler]
}

resource "aws_glue_security_configuration" "crawler" {
  count = local.crawler

  name = "${var.name}-crawler"

  encryption_configuration {
    cloudwatch_encryption {
      cloudwatch_encryption_mode = "SSE-KMS"
      kms_key_arn                = var.kms_key_arn
    }

    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "CSE-KMS"
      kms_key_arn                   = var.kms_key_arn
    }

    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = var.kms_key_arn
    }
  }
}

resource "aws_iam_role" "crawler" {
  count = local.crawler

  name                 = "${var.name}-crawler"
  description          = "lakestep ${var.name}: what the crawler may read"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "glue.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
    }]
  })
}

resource "aws_iam_role_policy" "crawler" {
  count = local.crawler

  name = "crawler"
  role = aws_iam_role.crawler[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadTables"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = [for t in var.crawler_tables : "${var.bucket_arn}/${var.lake_prefix}/${t}/*"]
      },
      {
        Sid      = "ListBucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
        Resource = var.bucket_arn
      },
      {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = var.kms_key_arn
      },
      {
        Sid    = "Catalog"
        Effect = "Allow"
        Action = [
          "glue:GetDatabase",
          "glue:GetTable",
          "glue:GetTables",
          "glue:CreateTable",
          "glue:UpdateTable",
          "glue:BatchGetPartition",
          "glue:BatchCreatePartition",
          "glue:CreatePartition",
          "glue:GetPartition",
          "glue:GetPartitions",
          "glue:UpdatePartition",
        ]
        Resource = [
          for what in ["catalog", "database/${local.crawled}", "table/${local.crawled}/*"] :
          "arn:${var.account.partition}:glue:${var.account.region}:${var.account.id}:${what}"
        ]
      },
      {
        Sid      = "SecurityConfiguration" # knows no resources
        Effect   = "Allow"
        Action   = "glue:GetSecurityConfiguration"
        Resource = "*"
      },
      {
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"]
        Resource = "arn:${var.account.partition}:logs:${var.account.region}:${var.account.id}:log-group:/aws-glue/crawlers*"
      },
    ]
  })
}
