variable "name" {
  description = "Prefix of the functions' names."
  type        = string
}

variable "account" {
  description = "The account, region and partition that the stack lives in."
  type = object({
    id        = string
    region    = string
    partition = string
  })
}

variable "package" {
  description = "Path of the zip file that 'make package/aws' builds."
  type        = string

  validation {
    condition     = endswith(var.package, ".zip")
    error_message = "The package is a zip file: dist/lakestep-aws.zip of 'make package/aws'."
  }
}

variable "package_prefix" {
  description = "Folder of the bucket for the package."
  type        = string
  default     = "package"
}

variable "bucket" {
  description = "Name of the lake's bucket."
  type        = string
}

variable "bucket_arn" {
  description = "ARN of the lake's bucket."
  type        = string
}

variable "lake_prefix" {
  description = "Folder of the bucket with the tables."
  type        = string
}

variable "landing_prefix" {
  description = "Folder of the bucket where files land."
  type        = string
}

variable "lake_url" {
  description = "URL of the lake: s3://BUCKET/FOLDER."
  type        = string

  validation {
    condition     = startswith(var.lake_url, "s3://")
    error_message = "The lake of these functions is in S3: s3://BUCKET/FOLDER."
  }
}

variable "landing_buckets" {
  description = "Names of other buckets that steps may read files from. Their own policies and keys must allow it, too."
  type        = list(string)
  default     = []
}

variable "kms_key_arn" {
  description = "The key of the lake, the logs, the queue, the secrets and the functions' settings."
  type        = string
}

variable "pipeline" {
  description = "Folder of the pipeline in the package."
  type        = string
  default     = "config/retail"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", var.pipeline)) && !strcontains(var.pipeline, "..")
    error_message = "The folder of a pipeline in the package, such as config/retail."
  }
}

variable "pipeline_vars" {
  description = "Values for the vars of pipeline.yaml. No secrets: pipelines refer to those."
  type        = map(string)
  default     = {}
}

variable "state_machine_arn" {
  description = "ARN of the state machine that starter starts."
  type        = string
}

variable "queue_arn" {
  description = "ARN of the queue that starter takes events from."
  type        = string
}

variable "glue_database" {
  description = "Glue database that published tables are registered in; empty: none."
  type        = string
  default     = ""
}

variable "secret_arns" {
  description = "ARNs of the secrets that steps which open sources may read."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for a in var.secret_arns : can(regex("^arn:[a-z-]+:secretsmanager:", a))])
    error_message = "Give ARNs of Secrets Manager (arn:aws:secretsmanager:...)."
  }
}

variable "overrides" {
  description = "By step, what is to be other than in steps.json: memory_mb, timeout_s, storage_mb (of /tmp), concurrency (reserved; without it the step shares what the account has)."
  type = map(object({
    memory_mb   = optional(number)
    timeout_s   = optional(number)
    storage_mb  = optional(number)
    concurrency = optional(number)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.overrides) : contains(jsondecode(file("${path.module}/steps.json"))[*].name, name)])
    error_message = "There is no such step; steps.json has their names."
  }

  validation {
    condition     = alltrue([for o in values(var.overrides) : try(o.timeout_s >= 1 && o.timeout_s <= 900, o.timeout_s == null)])
    error_message = "A function's timeout is 1 to 900 seconds."
  }

  validation {
    condition     = alltrue([for o in values(var.overrides) : try(o.memory_mb >= 512 && o.memory_mb <= 10240, o.memory_mb == null)])
    error_message = "A function's memory is 512 (less is too little for the engine) to 10240 MB."
  }

  validation {
    condition     = alltrue([for o in values(var.overrides) : try(o.storage_mb >= 512 && o.storage_mb <= 10240, o.storage_mb == null)])
    error_message = "A function's storage is 512 to 10240 MB."
  }
}

variable "log_level" {
  description = "What the functions log: debug, info, warn or error."
  type        = string
  default     = "info"

  validation {
    condition     = contains(["debug", "info", "warn", "error"], var.log_level)
    error_message = "log_level is debug, info, warn or error."
  }
}

variable "log_retention_days" {
  description = "For how many days log lines are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch knows 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827 days and some longer times."
  }
}

variable "subnet_ids" {
  description = "Subnets to run in; none: outside of any VPC."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the functions, when they run in subnets."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.subnet_ids) == 0 || length(var.security_group_ids) > 0
    error_message = "Functions in subnets need a security group."
  }
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the roles, where the account asks for one."
  type        = string
  default     = null
}
