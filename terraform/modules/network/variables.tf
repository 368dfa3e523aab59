variable "name" {
  description = "Prefix of the names of VPC, security groups and endpoints."
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

variable "vpc_id" {
  description = "A VPC of your own; with subnet_ids and route_table_ids. Without them one is made."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Private subnets of the VPC of your own, in two zones at least."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.subnet_ids) == 0 || length(var.subnet_ids) > 1
    error_message = "Name at least two subnets, in two zones: one zone can be down."
  }
}

variable "route_table_ids" {
  description = "Route tables of those subnets, for the way to S3."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.subnet_ids) == 0 || !contains(var.endpoints, "s3") || length(var.route_table_ids) > 0
    error_message = "Name the route tables of the subnets, or leave s3 out of endpoints when the VPC has a way to S3."
  }
}

variable "cidr" {
  description = "Addresses of the VPC that is made: /16 to /24."
  type        = string
  default     = "10.73.0.0/22"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "cidr is a block of addresses from /16 to /24, such as 10.73.0.0/22."
  }
}

variable "endpoints" {
  description = "AWS services to make endpoints for: s3, states, glue, secretsmanager are those that the steps call. kms, logs, sqs, monitoring, sts, sns and xray are for what else is in the VPC: for functions AWS calls these by itself, outside of it. Leave out what the VPC has already."
  type        = set(string)
  default     = ["s3", "states", "glue", "secretsmanager"]

  validation {
    condition     = length(setsubtract(var.endpoints, ["s3", "states", "glue", "secretsmanager", "kms", "logs", "sqs", "sts", "sns", "monitoring", "xray"])) == 0
    error_message = "endpoints are among s3, states, glue, secretsmanager, kms, logs, sqs, sts, sns, monitoring and xray."
  }
}

variable "bucket_accounts" {
  description = "Other accounts whose buckets may be reached through the way to S3."
  type        = list(string)
  default     = []
}

variable "sources" {
  description = "By name, where the functions may connect to: addresses and port of a database or broker."
  type = map(object({
    cidr = string
    port = number
  }))
  default = {}

  validation {
    condition     = alltrue([for s in values(var.sources) : can(cidrhost(s.cidr, 0)) && s.cidr != "0.0.0.0/0"])
    error_message = "A source is at a block of addresses (10.1.2.3/32), and not everywhere."
  }
}
