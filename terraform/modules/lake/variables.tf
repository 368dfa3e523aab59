variable "name" {
  description = "Prefix of the names of all that is made."
  type        = string
}

variable "account" {
  description = "The account, region and partition (aws, aws-us-gov) that the stack lives in."
  type = object({
    id        = string
    region    = string
    partition = string
  })
}

variable "bucket_name" {
  description = "Name of the bucket; null: NAME-data-lake-ACCOUNT-REGION."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
  }

  validation {
    condition     = !endswith(coalesce(var.bucket_name, "none"), "--x-s3")
    error_message = "Directory buckets (--x-s3) list in no order: a lake needs a general purpose bucket."
  }
}

variable "kms_key_arn" {
  description = "A key of your own, whose policy lets logs, events, cloudwatch and budgets use it as kms.tf does; null: one is made."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "Give the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not an alias."
  }
}

variable "lake_prefix" {
  description = "Folder of the bucket with the tables."
  type        = string
  default     = "lake"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]$", var.lake_prefix))
    error_message = "A prefix neither begins nor ends with a slash."
  }
}

variable "landing_prefix" {
  description = "Folder of the bucket where files land. The rules of age apply here and nowhere else: it must not hold tables."
  type        = string
  default     = "landing"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]$", var.landing_prefix))
    error_message = "A prefix neither begins nor ends with a slash."
  }

  validation {
    condition     = !startswith("${var.lake_prefix}/", "${var.landing_prefix}/") && !startswith("${var.landing_prefix}/", "${var.lake_prefix}/")
    error_message = "landing_prefix and lake_prefix lie one within the other: files of tables would age, or tables' own files would start runs."
  }
}

variable "athena_prefix" {
  description = "Folder of the bucket for the results of Athena's queries; they go after a week."
  type        = string
  default     = "athena"
}

variable "landing_lifecycle" {
  description = "Days until landing files go to STANDARD_IA, to archive_class, and expire. In GLACIER and DEEP_ARCHIVE a file must be restored before a table can be loaded anew from it; GLACIER_IR is read at once."
  type = object({
    infrequent_days = optional(number, 30)
    archive_days    = optional(number, 90)
    archive_class   = optional(string, "GLACIER")
    expire_days     = optional(number, 2555)
  })
  default = {}

  validation {
    condition     = var.landing_lifecycle.infrequent_days >= 30
    error_message = "S3 takes no object into STANDARD_IA before it is 30 days old."
  }

  validation {
    condition     = var.landing_lifecycle.archive_days >= var.landing_lifecycle.infrequent_days + 30
    error_message = "Between STANDARD_IA and the archive S3 wants 30 days."
  }

  validation {
    condition     = var.landing_lifecycle.expire_days > var.landing_lifecycle.archive_days
    error_message = "Files would expire before they are archived."
  }

  validation {
    condition     = contains(["GLACIER", "GLACIER_IR", "DEEP_ARCHIVE"], var.landing_lifecycle.archive_class)
    error_message = "archive_class is GLACIER, GLACIER_IR or DEEP_ARCHIVE."
  }
}

variable "noncurrent_days" {
  description = "For how many days deleted and replaced objects can be had again."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "At least a day."
  }
}

variable "removed_days" {
  description = "Age in days at which objects with the tag lakestep=removed go. S3 counts from the object's creation, not from its tagging."
  type        = number
  default     = 7

  validation {
    condition     = var.removed_days >= 7
    error_message = "Readers of older versions need a week at least, as vacuum gives them."
  }
}

variable "access_log_bucket" {
  description = "Bucket that takes the access log; null: none is kept."
  type        = string
  default     = null
}

variable "protect_data" {
  description = "Refuse to delete the bucket while it holds anything, and keep a deleted key for 30 days (else 7)."
  type        = bool
  default     = true
}
