# One role a function, with what steps.json declares and nothing else.

locals {
  lake_arn    = "${var.bucket_arn}/${var.lake_prefix}"
  landing_arn = "${var.bucket_arn}/${var.landing_prefix}"

  # Each statement with the condition under which a step has it.
  statements = {
    for name, s in local.steps : name => [
      {
        when = true
        json = {
          Sid      = "Logs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.step[name].arn}:*"
        }
      },
      {
        when = true
        json = {
          Sid      = "Trace" # X-Ray knows no resources
          Effect   = "Allow"
          Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
          Resource = "*"
        }
      },
      {
        when = true
        json = {
          Sid      = "Key"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = var.kms_key_arn
        }
      },
      {
        when = true
        json = {
          Sid    = "ListLake"
          Effect = "Allow"
          # Without a condition on the prefix: with one, S3 would answer 403 for an object that is not there, where Delta's protocol asks for a 404.
          Action   = "s3:ListBucket"
          Resource = var.bucket_arn
        }
      },
      {
        when = true
        json = {
          Sid      = "ReadLake"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = s.starts ? "${local.lake_arn}/_lakestep/triggers/*" : "${local.lake_arn}/*"
        }
      },
      {
        when = length(s.writes) > 0
        json = {
          Sid      = "WriteLake"
          Effect   = "Allow"
          Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
          Resource = [for layer in s.writes : "${local.lake_arn}/${layer}/*"]
        }
      },
      {
        when = length(s.deletes) > 0
        json = {
          Sid      = "DeleteFromLake" # in a bucket with versions: it stays for noncurrent_days. No step may delete a version
          Effect   = "Allow"
          Action   = "s3:DeleteObject"
          Resource = [for layer in s.deletes : "${local.lake_arn}/${layer}/*"]
        }
      },
      {
        when = s.sources
        json = {
          Sid      = "ReadLanding"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = concat(["${local.landing_arn}/*"], [for b in var.landing_buckets : "arn:${var.account.partition}:s3:::${b}/*"])
        }
      },
      {
        when = s.sources && length(var.landing_buckets) > 0
        json = {
          Sid      = "ListLanding"
          Effect   = "Allow"
          Action   = "s3:ListBucket"
          Resource = [for b in var.landing_buckets : "arn:${var.account.partition}:s3:::${b}"]
        }
      },
      {
        when = s.sources && length(var.secret_arns) > 0
        json = {
          Sid      = "ReadSecrets"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = var.secret_arns
        }
      },
      {
        when = length(s.catalog) > 0 && var.glue_database != ""
        json = {
          Sid    = "Catalog"
          Effect = "Allow"
          Action = [for a in s.catalog : "glue:${a}"]
          Resource = [
            for what in ["catalog", "database/${var.glue_database}", "table/${var.glue_database}/*"] :
            "arn:${var.account.partition}:glue:${var.account.region}:${var.account.id}:${what}"
          ]
        }
      },
      {
        when = s.starts
        json = {
          Sid      = "StartRuns"
          Effect   = "Allow"
          Action   = ["states:StartExecution", "states:ListExecutions"]
          Resource = var.state_machine_arn
        }
      },
      {
        when = s.starts
        json = {
          Sid      = "LookAtRuns"
          Effect   = "Allow"
          Action   = "states:DescribeExecution"
          Resource = "${replace(var.state_machine_arn, ":stateMachine:", ":execution:")}:*"
        }
      },
      {
        when = s.starts
        json = {
          Sid      = "TakeEvents"
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
          Resource = var.queue_arn
        }
      },
      {
        when = length(var.subnet_ids) > 0
        json = {
          Sid    = "NetworkInterfaces" # as AWS's own policy AWSLambdaVPCAccessExecutionRole has it: EC2 knows no resources here
          Effect = "Allow"
          Action = [
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
          ]
          Resource = "*"
        }
      },
    ]
  }
}

resource "aws_iam_role" "step" {
  for_each = local.steps

  name                 = "${var.name}-${each.key}"
  description          = "lakestep ${var.name}: ${each.value.about}"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "step" {
  for_each = local.steps

  name = "step"
  role = aws_iam_role.step[each.key].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for s in local.statements[each.key] : s.json if s.when]
  })
}
