variable "create_migration_infra" {
  type        = bool
  description = "The switch: everything in this module exists only while it is true."
  default     = false
}

variable "create_registries" {
  type        = bool
  description = "Whether this environment's use of the module makes the registries; true in one environment only."
  default     = false
}

variable "prefix" {
  type        = string
  description = "What the names of the environment's resources begin with, for example core-prod."
}

variable "vpc_id" {
  type        = string
  description = "The VPC that the tasks run in."
}

variable "database_security_group_id" {
  type        = string
  description = "The security group of the RDS instance that is the target."
}

variable "source_database_port" {
  type        = number
  description = "The TCP port of the source database, or of the tunnel to it."
  default     = 5432
}

variable "db_migration_image" {
  type        = string
  description = "The image that publish-images push printed, with its digest."

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.db_migration_image))
    error_message = "Pin the image by its digest: REGISTRY/db-migration@sha256:..."
  }
}

variable "s3_migration_image" {
  type        = string
  description = "The image that publish-images push printed, with its digest."

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.s3_migration_image))
    error_message = "Pin the image by its digest: REGISTRY/s3-migration@sha256:..."
  }
}

variable "cf_service" {
  type        = string
  description = "The platform's service instance that is the source database."
}

variable "cf_space" {
  type        = string
  description = "The platform's space that it is in."
}

variable "buckets" {
  description = "The buckets to copy, by the name that migration.toml has for them."
  type = map(object({
    source_bucket  = string
    target_bucket  = string
    target_key_arn = string
  }))
}

variable "report_bucket" {
  type        = string
  description = "The bucket for reports and for the journal of migrate-s3."
}

variable "report_key_arn" {
  type        = string
  description = "The KMS key of the report bucket."
}

variable "secrets_key_arn" {
  type        = string
  description = "The KMS key that the secrets are encrypted with."
}

variable "pull_principals" {
  type        = list(string)
  description = "ARNs of the execution roles of other accounts that pull the images."
  default     = []
}

variable "log_retention_days" {
  type        = number
  description = "How long the tasks' logs are kept."
  default     = 90
}
