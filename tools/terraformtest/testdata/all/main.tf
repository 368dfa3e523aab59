# Every resource of the modules at once, for the tests: as examples/prod, with the crawler.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "name" { default = "lakestep-all" }

provider "aws" {
  region = "us-east-1"

  default_tags {
    tags = { application = "lakestep", stack = var.name, environment = "prod" }
  }
}

module "lakestep" {
  source = "../.."

  name              = var.name
  package           = "../../../dist/lakestep-aws.zip"
  access_log_bucket = "example-access-logs"

  functions = {
    silver   = { memory_mb = 3538, concurrency = 20 }
    gold     = { memory_mb = 3538, concurrency = 20 }
    maintain = { concurrency = 2 }
  }

  network = { sources = { shop = { cidr = "10.1.2.3/32", port = 5432 } } }
  secrets = {
    shop-db = {
      description         = "The shop's PostgreSQL: username, password"
      rotation_lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
    }
  }

  triggers_enabled = false # so that what says it cannot be left out
  schedule         = "cron(0 2 * * ? *)"
  crawler_tables   = ["silver/others", "gold/others"]
  crawler_schedule = "cron(0 5 * * ? *)"

  emails             = ["data@example.com"]
  expect_run_hours   = 24
  slot_lag_mb        = { shop = 1024 }
  budget_usd         = 300
  budget_tag         = { key = "stack", value = var.name }
  log_retention_days = 365

  permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
}

output "stack" { value = module.lakestep }
