# One function a step, all of one package: the bootstrap does the step that the handler names. steps.json says what each needs, and so what it may;
# tools/terraform_test.go compares its names with the steps that there are.

locals {
  steps = { for s in jsondecode(file("${path.module}/steps.json")) : s.name => s }

  settings = {
    for name, s in local.steps : name => {
      memory_mb   = coalesce(try(var.overrides[name].memory_mb, null), s.memory_mb)
      timeout_s   = coalesce(try(var.overrides[name].timeout_s, null), s.timeout_s)
      storage_mb  = coalesce(try(var.overrides[name].storage_mb, null), s.storage_mb)
      concurrency = coalesce(try(var.overrides[name].concurrency, null), -1) # none reserved
    }
  }

  environment = {
    for name, s in local.steps : name => merge(
      {
        LAKESTEP_PIPELINE  = var.pipeline
        LAKESTEP_LAKE      = var.lake_url
        LAKESTEP_VARS      = jsonencode(var.pipeline_vars)
        LAKESTEP_LOG_LEVEL = var.log_level
        LAKESTEP_TMP_MB    = tostring(local.settings[name].storage_mb)
      },
      length(s.catalog) > 0 ? { LAKESTEP_GLUE_DATABASE = var.glue_database } : {},
      s.starts ? { LAKESTEP_STATE_MACHINE = var.state_machine_arn } : {},
    )
  }
}

# Made before the function, or Lambda would make one that is neither encrypted nor ever emptied.
resource "aws_cloudwatch_log_group" "step" {
  #checkov:skip=CKV_AWS_338:Runs are on record in the lake (ops.runs) for good; log lines are for finding out, and retention is the user's choice (log_retention_days).
  for_each = local.steps

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "step" {
  #checkov:skip=CKV_AWS_116:Steps are called by Step Functions, which waits for the answer and repeats; starter's events are in a queue with a dead-letter queue. Nothing is called asynchronously.
  #checkov:skip=CKV_AWS_115:Reserving concurrency takes it from the rest of the account; new accounts have too little to give. By variable (overrides).
  #checkov:skip=CKV_AWS_117:In a VPC by variable (network); without sources in one it would only cost.
  #checkov:skip=CKV_AWS_272:Signing needs a signing profile of the account. The package's digest is in the plan.
  for_each = local.steps

  function_name = "${var.name}-${each.key}"
  description   = each.value.about
  role          = aws_iam_role.step[each.key].arn

  runtime       = "provided.al2023"
  architectures = ["x86_64"]
  handler       = each.key

  s3_bucket         = local.code.bucket
  s3_key            = local.code.key
  s3_object_version = local.code.version
  source_code_hash  = local.code.hash
  publish           = true # alias live names a version, so that an update is one change and can be taken back

  memory_size                    = local.settings[each.key].memory_mb
  timeout                        = local.settings[each.key].timeout_s
  reserved_concurrent_executions = local.settings[each.key].concurrency

  ephemeral_storage {
    size = local.settings[each.key].storage_mb
  }

  kms_key_arn = var.kms_key_arn
  environment {
    variables = local.environment[each.key]
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.step[each.key].name
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "vpc_config" {
    for_each = length(var.subnet_ids) == 0 ? [] : [1]
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.package)
      error_message = "There is no package ${var.package}: build it with 'make package/aws'."
    }
  }

  depends_on = [aws_iam_role_policy.step] # a function in a VPC is refused while its role may not make network interfaces
}

# What the state machines and the queue call. tools/aws/rollback.sh sets it back to the version before.
resource "aws_lambda_alias" "live" {
  for_each = local.steps

  name             = "live"
  description      = "What runs call"
  function_name    = aws_lambda_function.step[each.key].function_name
  function_version = aws_lambda_function.step[each.key].version
}
