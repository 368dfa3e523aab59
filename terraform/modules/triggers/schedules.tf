# Runs by the clock: the pipeline's through the queue, like any event (so two never overlap), maintenance straight to its state machine, which may
# run beside a run of the pipeline.

locals {
  schedules = merge(
    var.schedule == null ? {} : {
      run = { expression = var.schedule, target = aws_sqs_queue.events.arn }
    },
    var.maintenance_schedule == null ? {} : {
      maintenance = { expression = var.maintenance_schedule, target = var.maintenance_arn }
    },
  )

  # What starter and step pin know as the event of a schedule. Scheduler puts in what stands in angle brackets, which jsonencode would escape.
  schedule_event = replace(replace(jsonencode({
    version       = "0"
    id            = "<aws.scheduler.execution-id>"
    source        = "aws.scheduler"
    "detail-type" = "Scheduled Event"
    account       = var.account.id
    region        = var.account.region
    time          = "<aws.scheduler.scheduled-time>"
    resources     = ["<aws.scheduler.schedule-arn>"]
    detail        = {}
  }), "\\u003c", "<"), "\\u003e", ">")
}

resource "aws_scheduler_schedule_group" "lakestep" {
  count = length(local.schedules) > 0 ? 1 : 0

  name = var.name
}

resource "aws_scheduler_schedule" "run" {
  for_each = local.schedules

  name                         = each.key
  description                  = "lakestep ${var.name}: ${each.key}"
  group_name                   = aws_scheduler_schedule_group.lakestep[0].name
  schedule_expression          = each.value.expression
  schedule_expression_timezone = var.timezone
  state                        = var.enabled ? "ENABLED" : "DISABLED"
  kms_key_arn                  = var.kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = each.value.target
    role_arn = aws_iam_role.scheduler[0].arn
    input    = local.schedule_event

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 10
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead.arn
    }
  }

  depends_on = [aws_iam_role_policy.scheduler]
}

resource "aws_iam_role" "scheduler" {
  count = length(local.schedules) > 0 ? 1 : 0

  name                 = "${var.name}-scheduler"
  description          = "lakestep ${var.name}: what schedules may do"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = {
          "aws:SourceAccount" = var.account.id
          "aws:SourceArn"     = aws_scheduler_schedule_group.lakestep[0].arn
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  count = length(local.schedules) > 0 ? 1 : 0

  name = "scheduler"
  role = aws_iam_role.scheduler[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Send"
          Effect   = "Allow"
          Action   = "sqs:SendMessage"
          Resource = [aws_sqs_queue.events.arn, aws_sqs_queue.dead.arn]
        },
        {
          Sid      = "Key"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = var.kms_key_arn
        },
      ],
      [for arn in(var.maintenance_schedule == null ? [] : [var.maintenance_arn]) : {
        Sid      = "StartMaintenance"
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = arn
      }],
    )
  })
}
