# One page that answers: does it run, how long does it take, what waits, what fails.

locals {
  region = var.account.region

  widgets = [
    {
      title   = "Runs"
      stat    = "Sum"
      metrics = [for m in ["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"] : ["AWS/States", m, "StateMachineArn", var.state_machines["medallion"]]]
    },
    {
      title   = "Time of a run (ms)"
      stat    = "p95"
      metrics = [for name, arn in var.state_machines : ["AWS/States", "ExecutionTime", "StateMachineArn", arn, { label = name }]]
    },
    {
      title   = "Time of steps (ms)"
      stat    = "p95"
      metrics = [for step, f in var.functions : ["AWS/Lambda", "Duration", "FunctionName", f, { label = step }]]
    },
    {
      title   = "Errors of steps"
      stat    = "Sum"
      metrics = [for step, f in var.functions : ["AWS/Lambda", "Errors", "FunctionName", f, { label = step }]]
    },
    {
      title   = "Calls of steps"
      stat    = "Sum"
      metrics = [for step, f in var.functions : ["AWS/Lambda", "Invocations", "FunctionName", f, { label = step }]]
    },
    {
      title   = "Steps at the same time"
      stat    = "Maximum"
      metrics = [for step, f in var.functions : ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", f, { label = step }]]
    },
    {
      title = "Events"
      stat  = "Sum"
      metrics = [
        ["AWS/SQS", "NumberOfMessagesSent", "QueueName", var.queue_name],
        ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", var.queue_name],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.dead_queue_name, { label = "dead letters", stat = "Maximum" }],
      ]
    },
    {
      title   = "Age of the oldest event (s)"
      stat    = "Maximum"
      metrics = [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.queue_name]]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "stack" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      [for i, w in local.widgets : {
        type   = "metric"
        x      = (i % 2) * 12
        y      = floor(i / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = w.title
          region  = local.region
          stat    = w.stat
          period  = 300
          metrics = w.metrics
        }
      }],
      [{
        type   = "log"
        x      = 0
        y      = ceil(length(local.widgets) / 2) * 6
        width  = 24
        height = 8
        properties = {
          title  = "Warnings and errors"
          region = local.region
          view   = "table"
          query  = "${join(" | ", [for g in values(var.log_groups) : "SOURCE '${g}'"])} | ${local.trouble}"
        }
      }],
    )
  })
}

locals {
  # The functions log one JSON object a line (shared/host/lambda).
  trouble = "fields @timestamp, level, msg, run, table, error, message, hint | filter level in ['ERROR', 'WARN'] | sort @timestamp desc | limit 50"
}

# The same question, and that for one run, to be found under Logs Insights.
resource "aws_cloudwatch_query_definition" "trouble" {
  name            = "${var.name}/trouble"
  log_group_names = values(var.log_groups)
  query_string    = local.trouble
}

resource "aws_cloudwatch_query_definition" "run" {
  name            = "${var.name}/run"
  log_group_names = values(var.log_groups)
  query_string    = "fields @timestamp, @log, level, msg, table, seconds, error, message | filter run = 'PUT THE RUN HERE' | sort @timestamp asc | limit 1000"
}
