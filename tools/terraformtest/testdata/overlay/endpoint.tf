variable "endpoint" { type = string }
