# Where alarms, closed gates and the budget speak. Each address gets a mail to confirm first.

resource "aws_sns_topic" "alerts" {
  name              = "${var.name}-alerts"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "alerts" {
  arn = aws_sns_topic.alerts.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for service in ["cloudwatch", "budgets"] : {
        Sid       = title(service)
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
      }],
      # Without a condition: EventBridge gives SNS nothing that one could look at, and with one no message would come through
      # (EventBridge User Guide, "Using resource-based policies", on SNS).
      [{
        Sid       = "Events"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
      }],
    )
  })
}

resource "aws_sns_topic_subscription" "mail" {
  for_each = var.emails

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}

# A closed gate is no failure: the run went through, and held tables back. Nothing but its output tells.
resource "aws_cloudwatch_event_rule" "held" {
  name        = "${var.name}-held"
  description = "lakestep: a run ended with tables held back"

  event_pattern = jsonencode({
    source        = ["aws.states"]
    "detail-type" = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [var.state_machines["medallion"]]
      status          = ["SUCCEEDED"]
      output          = [{ wildcard = "*\"status\":\"held\"*" }]
    }
  })
}

resource "aws_cloudwatch_event_target" "held" {
  rule      = aws_cloudwatch_event_rule.held.name
  target_id = "alerts"
  arn       = aws_sns_topic.alerts.arn

  input_transformer {
    input_paths    = { name = "$.detail.name", at = "$.time" }
    input_template = "\"${var.name}: a gate is closed. The execution <name> of <at> held tables back. docs/runbook-aws.md#held says what to do.\""
  }
}

resource "aws_budgets_budget" "month" {
  count = var.budget_usd == null ? 0 : 1

  name         = "${var.name}-month"
  budget_type  = "COST"
  limit_amount = tostring(var.budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  # By tag, once it is a cost allocation tag of the account (docs/aws.md); else the whole account is counted.
  dynamic "cost_filter" {
    for_each = var.budget_tag == null ? [] : [var.budget_tag]
    content {
      name   = "TagKeyValue"
      values = [format("user:%s$%s", cost_filter.value.key, cost_filter.value.value)]
    }
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = notification.key
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.alerts.arn]
    }
  }

  depends_on = [aws_sns_topic_policy.alerts]
}
