# What may call for a run comes into one queue, and starter empties it: so a storm of events is a few calls, and an event outlives an outage.

resource "aws_sqs_queue" "events" {
  name                       = "${var.name}-events"
  delay_seconds              = 10                        # the list of executions lags behind: see shared/host/starter, Delay
  visibility_timeout_seconds = 6 * var.starter_timeout_s # what AWS asks for, so that a throttled starter has time to come back
  message_retention_seconds  = 4 * 24 * 3600
  receive_wait_time_seconds  = 20
  kms_master_key_id          = var.kms_key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = var.max_receives
  })
}

# Events that starter could not handle, and those that EventBridge could not deliver. An alarm watches it.
resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-events-dead"
  message_retention_seconds = 14 * 24 * 3600
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events.arn]
  })
}

# Only the rules of this stack may write there. Schedules do it as a role of this account.
resource "aws_sqs_queue_policy" "events" {
  for_each = { events = aws_sqs_queue.events, dead = aws_sqs_queue.dead }

  queue_url = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "DenyWithoutTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.value.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      [for name, rule in aws_cloudwatch_event_rule.event : {
        Sid       = "Rule${title(name)}"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = each.value.arn
        Condition = { ArnEquals = { "aws:SourceArn" = rule.arn } }
      }],
    )
  })
}

resource "aws_lambda_event_source_mapping" "starter" {
  event_source_arn        = aws_sqs_queue.events.arn
  function_name           = var.starter_arn
  enabled                 = var.enabled
  function_response_types = ["ReportBatchItemFailures"] # one bad event does not bring the others back

  batch_size                         = var.batch_size
  maximum_batching_window_in_seconds = var.batching_window_s

  scaling_config {
    maximum_concurrency = var.max_concurrency
  }
}
