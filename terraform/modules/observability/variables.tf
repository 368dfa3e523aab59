variable "name" {
  description = "Prefix of the names of alarms, topic, dashboard and budget."
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

variable "state_machines" {
  description = "By name, the ARNs of the state machines; medallion is the pipeline's."
  type        = map(string)

  validation {
    condition     = contains(keys(var.state_machines), "medallion")
    error_message = "The pipeline's state machine is named medallion."
  }
}

variable "functions" {
  description = "By step, the name of its function."
  type        = map(string)
}

variable "log_groups" {
  description = "By step, the name of its log group."
  type        = map(string)
}

variable "queue_name" {
  description = "Name of the queue of events."
  type        = string
}

variable "dead_queue_name" {
  description = "Name of the dead-letter queue."
  type        = string
}

variable "rules" {
  description = "By kind of event, the name of its rule."
  type        = map(string)
  default     = {}
}

variable "schedule_group" {
  description = "Name of the schedules' group; null: there are none."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "The key of the topic."
  type        = string
}

variable "emails" {
  description = "Addresses that alarms go to. Each must be confirmed by the mail that AWS sends."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for e in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", e))])
    error_message = "Give addresses such as data@example.com."
  }
}

variable "error_threshold" {
  description = "Errors of a step's function within five minutes that are too many."
  type        = number
  default     = 3
}

variable "throttle_threshold" {
  description = "Throttled invocations of a step's function within five minutes that are too many."
  type        = number
  default     = 10
}

variable "max_event_age_s" {
  description = "How old an event in the queue may get, in seconds."
  type        = number
  default     = 3600

  validation {
    condition     = var.max_event_age_s >= 300
    error_message = "Events wait for a batch and for a starter: give them 300 seconds at least."
  }
}

variable "expect_run_hours" {
  description = "Alarm when no run of the pipeline has succeeded for so many hours, 24 at most; null: none."
  type        = number
  default     = null

  validation {
    condition     = try(var.expect_run_hours >= 1 && var.expect_run_hours <= 24, var.expect_run_hours == null)
    error_message = "CloudWatch looks back for 1 to 24 hours."
  }
}

variable "slot_lag_mb" {
  description = "By RDS instance of a PostgreSQL source, how many MB of log its replication slots may hold back."
  type        = map(number)
  default     = {}
}

variable "budget_usd" {
  description = "Budget of a month, in USD; null: none."
  type        = number
  default     = null

  validation {
    condition     = try(var.budget_usd > 0, var.budget_usd == null)
    error_message = "A budget is more than 0 USD."
  }
}

variable "budget_tag" {
  description = "Count only what has this tag, which must be a cost allocation tag of the account; null: the whole account."
  type = object({
    key   = string
    value = string
  })
  default = null
}
