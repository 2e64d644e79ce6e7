# Only the places. What is in them is put in by hand (runbooks/02-publish-the-images.md), so that it is in no state file.

resource "aws_secretsmanager_secret" "database_url" {
  count = local.enabled

  name                    = "${var.prefix}-migration-database-url"
  description             = "The new database: a full connection string"
  kms_key_id              = var.secrets_key_arn
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret" "source_database_url" {
  count = local.enabled

  name                    = "${var.prefix}-migration-source-database-url"
  description             = "The platform's database: a full connection string"
  kms_key_id              = var.secrets_key_arn
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret" "source_key" {
  for_each = local.buckets

  name                    = "${var.prefix}-migration-${each.key}-source-key"
  description             = "The platform's key pair for this bucket: access_key_id, secret_access_key"
  kms_key_id              = var.secrets_key_arn
  recovery_window_in_days = 0
}
