variable "region" {
  description = "Region of the stack."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "lakestep-dev"
}

variable "package" {
  description = "Path of the zip file that 'make package/aws' builds."
  type        = string
  default     = "../../../dist/lakestep-aws.zip"
}

variable "pipeline" {
  description = "Folder of the pipeline in the package."
  type        = string
  default     = "config/retail"
}

variable "pipeline_vars" {
  description = "Values for the vars of pipeline.yaml; {landing} stands for the URL of the stack's landing folder."
  type        = map(string)
  default     = { landing = "{landing}" }
}

variable "protect_data" {
  description = "Refuse to delete a bucket that holds anything; 'make destroy/aws KEEP_DATA=false' turns it off."
  type        = bool
  default     = true
}

variable "emails" {
  description = "Addresses that alarms go to."
  type        = set(string)
  default     = []
}

variable "budget_usd" {
  description = "Budget of a month, in USD."
  type        = number
  default     = 20
}
