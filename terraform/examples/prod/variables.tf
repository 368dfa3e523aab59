variable "region" {
  description = "Region of the stack."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "lakestep-prod"
}

variable "package" {
  description = "Path of the zip file that 'make package/aws' builds."
  type        = string
  default     = "../../../dist/lakestep-aws.zip"
}

variable "pipeline" {
  description = "Folder of the pipeline in the package."
  type        = string
  default     = "config/retail"
}

variable "pipeline_vars" {
  description = "Values for the vars of pipeline.yaml; {landing} stands for the URL of the stack's landing folder."
  type        = map(string)
  default     = { landing = "{landing}" }
}

variable "protect_data" {
  description = "Refuse to delete a bucket that holds anything; 'make destroy/aws KEEP_DATA=false' turns it off."
  type        = bool
  default     = true
}

variable "access_log_bucket" {
  description = "Bucket that takes the access log of the lake's; null: none is kept."
  type        = string
  default     = null
}

variable "functions" {
  description = "By step, what is to be other than in terraform/modules/functions/steps.json: memory_mb, timeout_s, storage_mb, concurrency."
  type = map(object({
    memory_mb   = optional(number)
    timeout_s   = optional(number)
    storage_mb  = optional(number)
    concurrency = optional(number)
  }))
  default = {}
}

variable "sources" {
  description = "By name, where the functions may connect to from the VPC: addresses and port of a database or broker."
  type        = map(object({ cidr = string, port = number }))
  default     = {}
}

variable "secrets" {
  description = "By name, places for credentials, and how they are rotated."
  type = map(object({
    description         = optional(string, "Credentials of a source")
    rotation_lambda_arn = optional(string)
    rotation_days       = optional(number, 30)
  }))
  default = { "shop-db" = { description = "The shop's PostgreSQL: username, password" } }
}

variable "timezone" {
  description = "Time zone of the schedules."
  type        = string
  default     = "UTC"
}

variable "emails" {
  description = "Addresses that alarms go to."
  type        = set(string)
  default     = []
}

variable "slot_lag_mb" {
  description = "By RDS instance of a PostgreSQL source, how many MB of log its replication slots may hold back before an alarm."
  type        = map(number)
  default     = {}
}

variable "budget_usd" {
  description = "Budget of a month, in USD."
  type        = number
  default     = 300
}
