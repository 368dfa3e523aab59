# The events that call for a run.

locals {
  rules = merge(
    # A file has landed. Keys with a trailing slash are folders that the console made: starter passes over them.
    var.on_landing ? {
      landed = {
        about = "A file has landed"
        pattern = {
          source        = ["aws.s3"]
          "detail-type" = ["Object Created"]
          detail = {
            bucket = { name = [var.bucket] }
            object = { key = [{ prefix = "${var.landing_prefix}/" }] }
          }
        }
      }
    } : {},
    # A run is over, however: starter starts one more, if events came in while it ran.
    {
      finished = {
        about = "A run is over"
        pattern = {
          source        = ["aws.states"]
          "detail-type" = ["Step Functions Execution Status Change"]
          detail = {
            stateMachineArn = [var.state_machine_arn]
            status          = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
          }
        }
      }
    },
  )
}

resource "aws_cloudwatch_event_rule" "event" {
  for_each = local.rules

  name          = "${var.name}-${each.key}"
  description   = "lakestep: ${each.value.about}"
  event_pattern = jsonencode(each.value.pattern)
  state         = var.enabled ? "ENABLED" : "DISABLED"
}

resource "aws_cloudwatch_event_target" "queue" {
  for_each = local.rules

  rule      = aws_cloudwatch_event_rule.event[each.key].name
  target_id = "queue"
  arn       = aws_sqs_queue.events.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }
}
