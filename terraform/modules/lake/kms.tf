# One key for all that a stack keeps: objects, queue, topic, logs, secrets and the functions' settings. It turns every year.
#
# Roles of the account get it by their own policies (module functions). Services that act without a role of ours are named here, each bound to this
# account, and logs to the names of this stack.

resource "aws_kms_key" "lake" {
  count = var.kms_key_arn == null ? 1 : 0

  description             = "lakestep ${var.name}: lake, queue, logs, secrets"
  enable_key_rotation     = true
  deletion_window_in_days = var.protect_data ? 30 : 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:${var.account.partition}:iam::${var.account.id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.account.region}.amazonaws.com" }
        Action    = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
        Resource  = "*"
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = [
              for group in ["/aws/lambda/${var.name}-*", "/aws/vendedlogs/states/${var.name}-*", "/aws-glue/crawlers*"] :
              "arn:${var.account.partition}:logs:${var.account.region}:${var.account.id}:log-group:${group}"
            ]
          }
        }
      },
      # EventBridge tells KMS its rule when it writes to a queue, and tells it nothing when it writes to a topic (Amazon SNS Developer Guide, "Key
      # management": source conditions are not supported there, and messages would be lost without a word). The topic itself is known.
      {
        Sid       = "EventsToQueue"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account.id }
          ArnLike      = { "aws:SourceArn" = "arn:${var.account.partition}:events:${var.account.region}:${var.account.id}:rule/${var.name}-*" }
        }
      },
      {
        Sid       = "EventsToTopic"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = {
          StringEquals = {
            "kms:EncryptionContext:aws:sns:topicArn" = "arn:${var.account.partition}:sns:${var.account.region}:${var.account.id}:${var.name}-alerts"
          }
        }
      },
      ], [
      for service in ["cloudwatch", "budgets"] : {
        Sid       = title(service) # alarms and budgets write to the topic
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
      }
    ])
  })
}

resource "aws_kms_alias" "lake" {
  count = var.kms_key_arn == null ? 1 : 0

  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.lake[0].key_id
}
