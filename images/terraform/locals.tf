data "aws_region" "current" {}

locals {
  enabled    = var.create_migration_infra ? 1 : 0
  buckets    = var.create_migration_infra ? var.buckets : {}
  registries = var.create_migration_infra && var.create_registries ? toset(["db-migration", "s3-migration"]) : toset([])
  programs   = var.create_migration_infra ? toset(["db-migration", "s3-migration"]) : toset([])

  # One place for what both task definitions have in common.
  container = {
    essential              = true
    readonlyRootFilesystem = true
    user                   = "65532:65532"
    stopTimeout            = 30
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
  }
}
