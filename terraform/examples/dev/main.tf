# A stack to try things in: no VPC, short memories, one budget. Costs nothing to speak of while nothing runs (docs/aws.md has the sum).
#
#   make deploy/aws EXAMPLE=dev TF_ARGS="-var region=eu-west-1"

# The state is in this folder. For more than one person put it into a bucket (with versions) instead:
#
# terraform {
#   backend "s3" {
#     bucket       = "example-terraform-state"
#     key          = "lakestep/dev.tfstate"
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
      environment = "dev"
    }
  }
}

module "lakestep" {
  source = "../.."

  name          = var.name
  package       = var.package
  pipeline      = var.pipeline
  pipeline_vars = var.pipeline_vars
  protect_data  = var.protect_data

  log_level              = "debug"
  log_retention_days     = 7
  workflow_log_level     = "ALL"
  include_execution_data = true
  noncurrent_days        = 7

  emails     = var.emails
  budget_usd = var.budget_usd
}
