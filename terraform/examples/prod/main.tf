# A stack for work: a VPC without a way to the internet, secrets, schedules, silence is an alarm. Take it as a start: what is right for a pipeline
# stands in the arguments below, and terraform/variables.tf has them all.
#
#   make deploy/aws EXAMPLE=prod TF_ARGS='-var region=eu-west-1 -var emails=["data@example.com"]'

# Put the state into a bucket (with versions) before the first deployment:
#
# terraform {
#   backend "s3" {
#     bucket       = "example-terraform-state"
#     key          = "lakestep/prod.tfstate"
#     region       = "eu-west-1"
#     encrypt      = true
#     use_lockfile = true
#   }
# }

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      application = "lakestep"
      stack       = var.name
      environment = "prod"
    }
  }
}

module "lakestep" {
  source = "../.."

  name              = var.name
  package           = var.package
  pipeline          = var.pipeline
  pipeline_vars     = var.pipeline_vars
  protect_data      = var.protect_data
  access_log_bucket = var.access_log_bucket

  # With more than the 3,008 MB that new accounts may give a function, silver and gold get a second processor:
  #   functions = { silver = { memory_mb = 3538 }, gold = { memory_mb = 3538 } }
  functions = var.functions

  # Interface endpoints are the dearest part of a quiet stack (docs/aws.md). With a VPC of your own: vpc_id, subnet_ids, route_table_ids, and only
  # the endpoints that it lacks. null: outside of any VPC.
  network = {
    cidr    = "10.73.0.0/22"
    sources = var.sources
  }

  # Places for the credentials of sources; the values are put in by hand or by a rotation.
  secrets = var.secrets

  schedule             = "cron(0 2 * * ? *)"    # every night, whatever landed
  maintenance_schedule = "cron(30 3 ? * SUN *)" # on Sundays
  timezone             = var.timezone

  emails           = var.emails
  expect_run_hours = 24
  slot_lag_mb      = var.slot_lag_mb
  budget_usd       = var.budget_usd
  budget_tag       = { key = "stack", value = var.name }

  log_retention_days = 365
}
