variable "name" {
  description = "Prefix of the state machines' names."
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

variable "definitions" {
  description = "By name of state machine, the path of its definition: statemachines/*.asl.json."
  type        = map(string)
}

variable "functions" {
  description = "By step, the ARN that a definition's placeholder of that name stands for."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "The key of the logs."
  type        = string
}

variable "log_level" {
  description = "Which events of an execution are logged: ALL, ERROR, FATAL or OFF."
  type        = string
  default     = "ERROR"

  validation {
    condition     = contains(["ALL", "ERROR", "FATAL", "OFF"], var.log_level)
    error_message = "log_level is ALL, ERROR, FATAL or OFF."
  }
}

variable "include_execution_data" {
  description = "Log inputs and outputs of states, too. They hold names, versions and counts, never rows."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "For how many days log lines are kept."
  type        = number
  default     = 30
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the roles, where the account asks for one."
  type        = string
  default     = null
}
