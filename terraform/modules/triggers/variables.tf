variable "name" {
  description = "Prefix of the names of queues, rules and schedules."
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

variable "enabled" {
  description = "Whether events and schedules start runs. Off: events are lost, and a run by hand or the next event takes in what landed."
  type        = bool
  default     = true
}

variable "bucket" {
  description = "Name of the bucket where files land."
  type        = string
}

variable "landing_prefix" {
  description = "Folder of the bucket where files land."
  type        = string
}

variable "on_landing" {
  description = "Start a run when a file has landed."
  type        = bool
  default     = true
}

variable "state_machine_arn" {
  description = "ARN of the pipeline's state machine."
  type        = string
}

variable "maintenance_arn" {
  description = "ARN of the state machine of maintenance."
  type        = string
}

variable "starter_arn" {
  description = "ARN of the alias of function starter."
  type        = string
}

variable "starter_timeout_s" {
  description = "Seconds that an invocation of starter may take."
  type        = number
}

variable "kms_key_arn" {
  description = "The key of queues and schedules."
  type        = string
}

variable "schedule" {
  description = "When to run the pipeline, as EventBridge Scheduler has it: rate(1 hour), cron(0 2 * * ? *); null: not by the clock."
  type        = string
  default     = null

  validation {
    condition     = var.schedule == null || can(regex("^(rate|cron)\\(.+\\)$", var.schedule))
    error_message = "A schedule is rate(1 hour) or cron(0 2 * * ? *)."
  }
}

variable "maintenance_schedule" {
  description = "When to run maintenance; null: not by the clock."
  type        = string
  default     = "cron(30 3 ? * SUN *)"

  validation {
    condition     = var.maintenance_schedule == null || can(regex("^(rate|cron)\\(.+\\)$", var.maintenance_schedule))
    error_message = "A schedule is rate(1 hour) or cron(0 2 * * ? *)."
  }
}

variable "timezone" {
  description = "Time zone of the schedules: Europe/Berlin."
  type        = string
  default     = "UTC"
}

variable "batch_size" {
  description = "How many events one invocation of starter takes at most."
  type        = number
  default     = 500

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000
    error_message = "A batch has 1 to 10000 events."
  }

  validation {
    condition     = var.batch_size <= 10 || var.batching_window_s >= 1
    error_message = "More than 10 events a batch need a batching window of at least a second."
  }
}

variable "batching_window_s" {
  description = "For how many seconds events are gathered before starter is invoked: the delay of a run, and the price of a storm."
  type        = number
  default     = 10

  validation {
    condition     = var.batching_window_s >= 0 && var.batching_window_s <= 300
    error_message = "A batching window is 0 to 300 seconds."
  }
}

variable "max_concurrency" {
  description = "How many invocations of starter may run side by side."
  type        = number
  default     = 2

  validation {
    condition     = var.max_concurrency >= 2 && var.max_concurrency <= 1000
    error_message = "Lambda takes 2 to 1000."
  }
}

variable "max_receives" {
  description = "After how many attempts an event goes to the dead-letter queue."
  type        = number
  default     = 5

  validation {
    condition     = var.max_receives >= 1
    error_message = "At least one."
  }
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the roles, where the account asks for one."
  type        = string
  default     = null
}
