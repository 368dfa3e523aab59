variable "name" {
  description = "Prefix of the secrets' names: NAME/SECRET."
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

variable "secrets" {
  description = "By name, what the secret is for; and with a function that can do it, after how many days it is rotated."
  type = map(object({
    description         = optional(string, "Credentials of a source")
    rotation_lambda_arn = optional(string)
    rotation_days       = optional(number, 30)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.secrets) : can(regex("^[A-Za-z0-9/_+=.@-]{1,200}$", name)) && !can(regex("-[A-Za-z0-9]{6}$", name))])
    error_message = "A secret's name has letters, digits and /_+=.@-, and does not end in a hyphen and six characters: so end the ARNs that AWS makes."
  }

  validation {
    condition     = alltrue([for s in values(var.secrets) : s.rotation_days >= 1 && s.rotation_days <= 90])
    error_message = "Secrets are rotated every 1 to 90 days."
  }
}

variable "kms_key_arn" {
  description = "The key of the secrets."
  type        = string
}

variable "protect_data" {
  description = "Keep a deleted secret for 30 days (else it is gone at once)."
  type        = bool
  default     = true
}
