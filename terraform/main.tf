# lakestep on AWS, one pipeline a stack: the modules put together. examples/dev and examples/prod are configurations to start from;
# docs/aws.md walks through it.

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}
data "aws_region" "here" {}

locals {
  account = {
    id        = data.aws_caller_identity.here.account_id
    region    = data.aws_region.here.region
    partition = data.aws_partition.here.partition
  }

  # Not the state machine's own attribute: it calls the functions, and one of them, starter, has to know it.
  state_machine_arn = "arn:${local.account.partition}:states:${local.account.region}:${local.account.id}:stateMachine:${var.name}-medallion"

  definitions = {
    medallion   = "${path.module}/../statemachines/medallion.asl.json"
    maintenance = "${path.module}/../statemachines/maintenance.asl.json"
  }

  pipeline_vars = { for name, value in var.pipeline_vars : name => replace(value, "{landing}", module.lake.landing_url) }
}

module "lake" {
  source = "./modules/lake"

  name              = var.name
  account           = local.account
  bucket_name       = var.bucket_name
  kms_key_arn       = var.kms_key_arn
  lake_prefix       = var.lake_prefix
  landing_prefix    = var.landing_prefix
  landing_lifecycle = var.landing_lifecycle
  noncurrent_days   = var.noncurrent_days
  access_log_bucket = var.access_log_bucket
  protect_data      = var.protect_data
}

module "secrets" {
  source = "./modules/secrets"

  name         = var.name
  account      = local.account
  secrets      = var.secrets
  kms_key_arn  = module.lake.kms_key_arn
  protect_data = var.protect_data
}

module "network" {
  source = "./modules/network"
  count  = var.network == null ? 0 : 1

  name            = var.name
  account         = local.account
  vpc_id          = var.network.vpc_id
  subnet_ids      = var.network.subnet_ids
  route_table_ids = var.network.route_table_ids
  cidr            = var.network.cidr
  endpoints       = var.network.endpoints
  bucket_accounts = var.network.bucket_accounts
  sources         = var.network.sources
}

module "catalog" {
  source = "./modules/catalog"

  name                 = var.name
  account              = local.account
  database             = var.glue_database
  bucket               = module.lake.bucket
  bucket_arn           = module.lake.bucket_arn
  lake_prefix          = module.lake.lake_prefix
  kms_key_arn          = module.lake.kms_key_arn
  athena               = var.athena
  athena_prefix        = module.lake.athena_prefix
  athena_limit_gb      = var.athena_limit_gb
  crawler_tables       = var.crawler_tables
  crawler_schedule     = var.crawler_schedule
  permissions_boundary = var.permissions_boundary
}

module "functions" {
  source = "./modules/functions"

  name                 = var.name
  account              = local.account
  package              = var.package
  bucket               = module.lake.bucket
  bucket_arn           = module.lake.bucket_arn
  lake_prefix          = module.lake.lake_prefix
  lake_url             = module.lake.lake_url
  landing_prefix       = module.lake.landing_prefix
  landing_buckets      = var.landing_buckets
  kms_key_arn          = module.lake.kms_key_arn
  pipeline             = var.pipeline
  pipeline_vars        = local.pipeline_vars
  state_machine_arn    = local.state_machine_arn
  queue_arn            = module.triggers.queue_arn
  glue_database        = var.register_tables ? module.catalog.database : ""
  secret_arns          = concat(values(module.secrets.arns), var.secret_arns)
  overrides            = var.functions
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
  subnet_ids           = var.network == null ? [] : module.network[0].subnet_ids
  security_group_ids   = var.network == null ? [] : [module.network[0].security_group_id]
  permissions_boundary = var.permissions_boundary
}

module "workflow" {
  source = "./modules/workflow"

  name                   = var.name
  account                = local.account
  definitions            = local.definitions
  functions              = module.functions.aliases
  kms_key_arn            = module.lake.kms_key_arn
  log_level              = var.workflow_log_level
  include_execution_data = var.include_execution_data
  log_retention_days     = var.log_retention_days
  permissions_boundary   = var.permissions_boundary
}

module "triggers" {
  source = "./modules/triggers"

  name                 = var.name
  account              = local.account
  enabled              = var.triggers_enabled
  bucket               = module.lake.bucket
  landing_prefix       = module.lake.landing_prefix
  on_landing           = var.on_landing
  state_machine_arn    = module.workflow.arns["medallion"]
  maintenance_arn      = module.workflow.arns["maintenance"]
  starter_arn          = module.functions.aliases["starter"]
  starter_timeout_s    = module.functions.timeouts["starter"]
  kms_key_arn          = module.lake.kms_key_arn
  schedule             = var.schedule
  maintenance_schedule = var.maintenance_schedule
  timezone             = var.timezone
  batch_size           = var.event_batch_size
  batching_window_s    = var.event_batching_window_s
  permissions_boundary = var.permissions_boundary
}

module "observability" {
  source = "./modules/observability"

  name             = var.name
  account          = local.account
  state_machines   = module.workflow.arns
  functions        = module.functions.names
  log_groups       = module.functions.log_groups
  queue_name       = module.triggers.queue_name
  dead_queue_name  = module.triggers.dead_queue_name
  rules            = module.triggers.rules
  schedule_group   = module.triggers.schedule_group
  kms_key_arn      = module.lake.kms_key_arn
  emails           = var.emails
  expect_run_hours = var.expect_run_hours
  slot_lag_mb      = var.slot_lag_mb
  budget_usd       = var.budget_usd
  budget_tag       = var.budget_tag
}
