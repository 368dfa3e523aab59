variable "name" {
  description = "Name of the stack, and prefix of the names of all that is made: several stacks fit into one account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 20 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen: a bucket's name is made of it."
  }
}

variable "package" {
  description = "Path of the zip file that 'make package/aws' builds."
  type        = string
}

variable "pipeline" {
  description = "Folder of the pipeline in the package."
  type        = string
  default     = "config/retail"
}

variable "pipeline_vars" {
  description = "Values for the vars of pipeline.yaml. {landing} stands for the URL of the stack's landing folder. No secrets: pipelines refer to those."
  type        = map(string)
  default     = { landing = "{landing}" }
}

# The lake

variable "bucket_name" {
  description = "Name of the bucket; null: NAME-data-lake-ACCOUNT-REGION."
  type        = string
  default     = null
}

variable "lake_prefix" {
  description = "Folder of the bucket with the tables."
  type        = string
  default     = "lake"
}

variable "landing_prefix" {
  description = "Folder of the bucket where files land."
  type        = string
  default     = "landing"
}

variable "landing_buckets" {
  description = "Names of other buckets that steps may read files from. Their own policies and keys must allow it, too."
  type        = list(string)
  default     = []
}

variable "landing_lifecycle" {
  description = "Days until landing files go to STANDARD_IA (infrequent_days, 30), to archive_class (archive_days, 90, GLACIER), and expire (expire_days, 2555). Tables do not age: terraform/modules/lake/lifecycle.tf says why."
  type = object({
    infrequent_days = optional(number, 30)
    archive_days    = optional(number, 90)
    archive_class   = optional(string, "GLACIER")
    expire_days     = optional(number, 2555)
  })
  default = {}
}

variable "noncurrent_days" {
  description = "For how many days deleted and replaced objects can be had again."
  type        = number
  default     = 30
}

variable "access_log_bucket" {
  description = "Bucket that takes the access log of the lake's; null: none is kept."
  type        = string
  default     = null
}

variable "protect_data" {
  description = "Refuse to delete a bucket that holds anything, and keep deleted keys and secrets for 30 days. 'make destroy/aws KEEP_DATA=false' turns it off."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "A key of your own, whose policy lets logs, events, cloudwatch and budgets use it as terraform/modules/lake/kms.tf does; null: one is made."
  type        = string
  default     = null
}

variable "secrets" {
  description = "Secrets to make places for, by name (the stack's name comes before it); values are put in by hand. With rotation_lambda_arn one is rotated every rotation_days."
  type = map(object({
    description         = optional(string, "Credentials of a source")
    rotation_lambda_arn = optional(string)
    rotation_days       = optional(number, 30)
  }))
  default = {}
}

variable "secret_arns" {
  description = "ARNs of secrets that are there already and that the pipeline refers to. With a key other than the stack's, that key's policy must allow the roles kms:Decrypt."
  type        = list(string)
  default     = []
}

# What runs

variable "functions" {
  description = "By step, what is to be other than in terraform/modules/functions/steps.json: memory_mb, timeout_s, storage_mb (of /tmp), concurrency (reserved)."
  type = map(object({
    memory_mb   = optional(number)
    timeout_s   = optional(number)
    storage_mb  = optional(number)
    concurrency = optional(number)
  }))
  default = {}
}

variable "network" {
  description = "Run the functions in a VPC: one of your own (vpc_id, subnet_ids, route_table_ids), or one that is made (cidr). endpoints are the AWS services to make endpoints for; sources where the functions may connect to. null: outside of any VPC."
  type = object({
    vpc_id          = optional(string)
    subnet_ids      = optional(list(string), [])
    route_table_ids = optional(list(string), [])
    cidr            = optional(string, "10.73.0.0/22")
    endpoints       = optional(set(string), ["s3", "states", "glue", "secretsmanager"])
    bucket_accounts = optional(list(string), [])
    sources         = optional(map(object({ cidr = string, port = number })), {})
  })
  default = null
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds all roles, where the account asks for one."
  type        = string
  default     = null
}

# What starts it

variable "triggers_enabled" {
  description = "Whether events and schedules start runs."
  type        = bool
  default     = true
}

variable "on_landing" {
  description = "Start a run when a file has landed."
  type        = bool
  default     = true
}

variable "schedule" {
  description = "When to run the pipeline by the clock, too: rate(1 hour), cron(0 2 * * ? *); null: not at all."
  type        = string
  default     = null
}

variable "maintenance_schedule" {
  description = "When to run maintenance; null: by hand only."
  type        = string
  default     = "cron(30 3 ? * SUN *)"
}

variable "timezone" {
  description = "Time zone of the schedules: Europe/Berlin."
  type        = string
  default     = "UTC"
}

variable "event_batch_size" {
  description = "How many events one invocation of starter takes at most."
  type        = number
  default     = 500
}

variable "event_batching_window_s" {
  description = "For how many seconds events are gathered before starter is invoked: the delay of a run, and the price of a storm."
  type        = number
  default     = 10
}

# What is to be seen

variable "glue_database" {
  description = "Name of the Glue database; null: NAME with underscores."
  type        = string
  default     = null
}

variable "register_tables" {
  description = "Register published tables in the Glue database."
  type        = bool
  default     = true
}

variable "athena" {
  description = "Make a workgroup for Athena."
  type        = bool
  default     = true
}

variable "athena_limit_gb" {
  description = "A query that would read more GB than this is stopped."
  type        = number
  default     = 100
}

variable "crawler_tables" {
  description = "Folders of Delta tables in the lake, as LAYER/TABLE, that a crawler registers; none: there is no crawler. Tables of lakestep need none."
  type        = list(string)
  default     = []
}

variable "crawler_schedule" {
  description = "When the crawler runs: cron(0 5 * * ? *); null: by hand."
  type        = string
  default     = null
}

variable "log_level" {
  description = "What the functions log: debug, info, warn or error."
  type        = string
  default     = "info"
}

variable "workflow_log_level" {
  description = "Which events of the state machines are logged: ALL, ERROR, FATAL or OFF."
  type        = string
  default     = "ERROR"
}

variable "include_execution_data" {
  description = "Log inputs and outputs of states, too."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "For how many days log lines are kept."
  type        = number
  default     = 30
}

variable "emails" {
  description = "Addresses that alarms go to. Each must be confirmed by the mail that AWS sends."
  type        = set(string)
  default     = []
}

variable "expect_run_hours" {
  description = "Alarm when no run of the pipeline has succeeded for so many hours, 24 at most; null: none."
  type        = number
  default     = null
}

variable "slot_lag_mb" {
  description = "By RDS instance of a PostgreSQL source, how many MB of log its replication slots may hold back before an alarm."
  type        = map(number)
  default     = {}
}

variable "budget_usd" {
  description = "Budget of a month, in USD; null: none."
  type        = number
  default     = null
}

variable "budget_tag" {
  description = "Count only what has this tag (key, value), which must be a cost allocation tag of the account; null: the whole account."
  type = object({
    key   = string
    value = string
  })
  default = null
}
