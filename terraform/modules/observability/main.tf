# Each alarm is something to do: docs/runbook-aws.md says what. Those that nobody would act on are not here.

locals {
  actions = [aws_sns_topic.alerts.arn]

  machine_alarms = {
    for pair in setproduct(keys(var.state_machines), ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "ExecutionThrottled"]) :
    "${pair[0]}-${pair[1]}" => { machine = pair[0], metric = pair[1] }
  }

  function_alarms = {
    for pair in setproduct(keys(var.functions), ["Errors", "Throttles"]) :
    "${pair[0]}-${pair[1]}" => { step = pair[0], metric = pair[1] }
  }

  # A failed step is repeated by the state machine: the run's own alarm tells when that did not help.
  function_thresholds = { Errors = var.error_threshold, Throttles = var.throttle_threshold }
}

resource "aws_cloudwatch_metric_alarm" "machine" {
  for_each = local.machine_alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = "State machine ${each.value.machine}: ${each.value.metric}. docs/runbook-aws.md#${lower(each.value.metric)}"

  namespace           = "AWS/States"
  metric_name         = each.value.metric
  dimensions          = { StateMachineArn = var.state_machines[each.value.machine] }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = local.function_alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = "Function of step ${each.value.step}: ${each.value.metric}. docs/runbook-aws.md#${lower(each.value.metric)}"

  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = var.functions[each.value.step] }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = local.function_thresholds[each.value.metric]
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name        = "${var.name}-dead-letters"
  alarm_description = "Events could not be handled or delivered. docs/runbook-aws.md#dead-letters"

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = var.dead_queue_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}

resource "aws_cloudwatch_metric_alarm" "old_events" {
  alarm_name        = "${var.name}-old-events"
  alarm_description = "Events have waited for more than ${var.max_event_age_s} seconds. docs/runbook-aws.md#old-events"

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = var.queue_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  threshold           = var.max_event_age_s
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}

resource "aws_cloudwatch_metric_alarm" "rule" {
  for_each = merge(var.rules, { held = aws_cloudwatch_event_rule.held.name })

  alarm_name        = "${var.name}-rule-${each.key}"
  alarm_description = "EventBridge could not deliver what the rule ${each.value} is about. docs/runbook-aws.md#rule"

  namespace           = "AWS/Events"
  metric_name         = "FailedInvocations"
  dimensions          = { RuleName = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}

resource "aws_cloudwatch_metric_alarm" "schedules" {
  count = var.schedule_group == null ? 0 : 1

  alarm_name        = "${var.name}-schedules"
  alarm_description = "A schedule could not start what it is for. docs/runbook-aws.md#schedules"

  namespace           = "AWS/Scheduler"
  metric_name         = "TargetErrorCount"
  dimensions          = { ScheduleGroup = var.schedule_group }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}

# Silence is no good sign where data are awaited.
resource "aws_cloudwatch_metric_alarm" "silence" {
  count = var.expect_run_hours == null ? 0 : 1

  alarm_name        = "${var.name}-silence"
  alarm_description = "No run of the pipeline has succeeded for ${var.expect_run_hours} hours. docs/runbook-aws.md#silence"

  namespace           = "AWS/States"
  metric_name         = "ExecutionsSucceeded"
  dimensions          = { StateMachineArn = var.state_machines["medallion"] }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = var.expect_run_hours
  datapoints_to_alarm = var.expect_run_hours
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}

# A replication slot keeps the log of its PostgreSQL until lakestep has read it: one that lags fills the database's disk. RDS measures it.
resource "aws_cloudwatch_metric_alarm" "slot" {
  for_each = var.slot_lag_mb

  alarm_name        = "${var.name}-slot-${each.key}"
  alarm_description = "Replication slots of the database ${each.key} lag by more than ${each.value} MB. docs/runbook-aws.md#slot"

  namespace           = "AWS/RDS"
  metric_name         = "OldestReplicationSlotLag"
  dimensions          = { DBInstanceIdentifier = each.key }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  threshold           = each.value * 1024 * 1024
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = local.actions
  ok_actions    = local.actions
}
