# The state machines: the very files that run on a developer's machine, with the functions' aliases put in.
#
# They are Standard workflows: a run may take hours, and its history is how one finds out what happened. Executions that are under way keep the
# definition they were started with.

locals {
  machines = {
    for name, path in var.definitions : name => {
      full_name = "${var.name}-${name}"
      # ${Name} stands in a comment and is no step.
      asked = setsubtract(toset(flatten(regexall("\\$\\{([A-Za-z]+)\\}", file(path)))), ["Name"])
      text  = templatefile(path, merge({ Name = "Name" }, { for step, arn in var.functions : title(step) => arn }))
    }
  }
}

resource "aws_cloudwatch_log_group" "machine" {
  #checkov:skip=CKV_AWS_338:Step Functions keeps the history of executions for 90 days, and ops.runs in the lake keeps the runs for good; retention is the user's choice.
  for_each = local.machines

  # Under this prefix the account's policy for deliveries needs no line of its own, and cannot grow too long.
  name              = "/aws/vendedlogs/states/${each.value.full_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "machine" {
  for_each = local.machines

  name                 = "${each.value.full_name}-machine"
  description          = "lakestep: what the state machine ${each.value.full_name} may call"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
    }]
  })
}

resource "aws_iam_role_policy" "machine" {
  #checkov:skip=CKV_AWS_290:Log deliveries and X-Ray know no resources (Step Functions guide, "Logging using CloudWatch Logs"); functions are named one by one.
  #checkov:skip=CKV_AWS_355:As above.
  #checkov:skip=CKV_AWS_287:As above: GetLogDelivery gives no credentials.
  for_each = local.machines

  name = "machine"
  role = aws_iam_role.machine[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "CallSteps" # exactly those of the definition, by their alias
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = [for step, arn in var.functions : arn if contains(each.value.asked, title(step))]
      },
      {
        Sid    = "DeliverLogs"
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:GetLogDelivery",
          "logs:UpdateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:DescribeResourcePolicies",
          "logs:DescribeLogGroups",
        ]
        Resource = "*"
      },
      {
        Sid      = "Trace"
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"]
        Resource = "*"
      },
    ]
  })
}

resource "aws_sfn_state_machine" "machine" {
  for_each = local.machines

  name       = each.value.full_name
  role_arn   = aws_iam_role.machine[each.key].arn
  type       = "STANDARD"
  definition = each.value.text
  publish    = true # a version a change: what ran when can be looked up

  logging_configuration {
    level                  = var.log_level
    include_execution_data = var.include_execution_data
    log_destination        = "${aws_cloudwatch_log_group.machine[each.key].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  lifecycle {
    precondition {
      condition     = length(each.value.asked) > 0 && length(setsubtract(each.value.asked, [for step in keys(var.functions) : title(step)])) == 0
      error_message = "The definition asks for steps that have no function: ${join(", ", setsubtract(each.value.asked, [for step in keys(var.functions) : title(step)]))}."
    }
  }

  depends_on = [aws_iam_role_policy.machine] # logging is checked when the machine is made
}
