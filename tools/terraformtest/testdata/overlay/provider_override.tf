provider "aws" {
  access_key                  = "tester"
  secret_key                  = "tester-secret"
  max_retries                 = 2 # what moto does not know it answers with 500s, again and again
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_force_path_style         = true

  endpoints {
    athena           = var.endpoint
    budgets          = var.endpoint
    cloudwatch       = var.endpoint
    cloudwatchevents = var.endpoint
    cloudwatchlogs   = var.endpoint
    ec2              = var.endpoint
    glue             = var.endpoint
    iam              = var.endpoint
    kms              = var.endpoint
    lambda           = var.endpoint
    s3               = var.endpoint
    secretsmanager   = var.endpoint
    sns              = var.endpoint
    sqs              = var.endpoint
    stepfunctions    = var.endpoint
    sts              = var.endpoint
  }
}
