variable "name" {
  description = "Prefix of the names of workgroup and crawler."
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

variable "database" {
  description = "Name of the Glue database; null: NAME with underscores."
  type        = string
  default     = null

  validation {
    condition     = var.database == null || can(regex("^[a-z0-9_]{1,255}$", var.database))
    error_message = "A database's name has lower-case letters, digits and underscores: Athena reads no others without quotes."
  }
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

variable "kms_key_arn" {
  description = "The key of the lake and of query results."
  type        = string
}

variable "athena" {
  description = "Make a workgroup for Athena."
  type        = bool
  default     = true
}

variable "athena_prefix" {
  description = "Folder of the bucket for the results of queries."
  type        = string
  default     = "athena"
}

variable "athena_limit_gb" {
  description = "A query that would read more GB than this is stopped. Athena's price is by what is read."
  type        = number
  default     = 100

  validation {
    condition     = var.athena_limit_gb >= 1 && floor(var.athena_limit_gb) == var.athena_limit_gb
    error_message = "A whole number of GB, at least 1."
  }
}

variable "crawler_tables" {
  description = "Folders of Delta tables in the lake, as LAYER/TABLE, that a crawler registers; none: there is no crawler."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for t in var.crawler_tables : can(regex("^[^/]+(/[^/]+)+$", t))])
    error_message = "Give folders of tables below the lake's, such as silver/cleaned_orders."
  }
}

variable "crawler_schedule" {
  description = "When the crawler runs: cron(0 5 * * ? *); null: by hand."
  type        = string
  default     = null

  validation {
    condition     = var.crawler_schedule == null || can(regex("^cron\\(.+\\)$", var.crawler_schedule))
    error_message = "Crawlers know cron(0 5 * * ? *) only."
  }
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the role, where the account asks for one."
  type        = string
  default     = null
}
