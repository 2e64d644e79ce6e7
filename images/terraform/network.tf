# The database task may reach any TCP port: the platform's address is not known beforehand. The other one HTTPS only.

resource "aws_security_group" "db_migration" {
  count = local.enabled

  name        = "${var.prefix}-db-migration"
  description = "The task that moves the database"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "db_migration_target" {
  count = local.enabled

  security_group_id            = aws_security_group.db_migration[0].id
  description                  = "The new database"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = var.database_security_group_id
}

resource "aws_vpc_security_group_egress_rule" "db_migration_source" {
  count = local.enabled

  security_group_id = aws_security_group.db_migration[0].id
  description       = "The old database"
  ip_protocol       = "tcp"
  from_port         = var.source_database_port
  to_port           = var.source_database_port
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "db_migration_https" {
  count = local.enabled

  security_group_id = aws_security_group.db_migration[0].id
  description       = "Registry, secrets, logs, the report bucket, the platform's API"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count = local.enabled

  security_group_id            = var.database_security_group_id
  description                  = "The task that moves the database"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.db_migration[0].id
}

resource "aws_security_group" "s3_migration" {
  count = local.enabled

  name        = "${var.prefix}-s3-migration"
  description = "The tasks that copy the buckets"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "s3_migration_https" {
  count = local.enabled

  security_group_id = aws_security_group.s3_migration[0].id
  description       = "Both buckets, registry, secrets, logs"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}
