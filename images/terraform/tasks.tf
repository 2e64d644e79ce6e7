resource "aws_ecs_task_definition" "db_migration" {
  count = local.enabled

  family                   = "${var.prefix}-db-migration"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 1024
  memory                   = 2048
  execution_role_arn       = aws_iam_role.execution[0].arn
  task_role_arn            = aws_iam_role.db_migration[0].arn

  container_definitions = jsonencode([merge(local.container, {
    name  = "db-migration"
    image = var.db_migration_image
    environment = [
      { name = "CF_SERVICE", value = var.cf_service },
      { name = "CF_SPACE", value = var.cf_space },
      { name = "LOG_FORMAT", value = "json" },
      { name = "REPORT", value = "s3://${var.report_bucket}/db" },
    ]
    secrets = [
      { name = "DATABASE_URL", valueFrom = aws_secretsmanager_secret.database_url[0].arn },
      { name = "SOURCE_DATABASE_URL", valueFrom = aws_secretsmanager_secret.source_database_url[0].arn },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["db-migration"].name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = "db-migration"
        mode                  = "non-blocking"
        max-buffer-size       = "4m"
      }
    }
  })])
}

resource "aws_ecs_task_definition" "s3_migration" {
  for_each = local.buckets

  family                   = "${var.prefix}-s3-migration-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  execution_role_arn       = aws_iam_role.execution[0].arn
  task_role_arn            = aws_iam_role.s3_migration[0].arn

  container_definitions = jsonencode([merge(local.container, {
    name  = "s3-migration"
    image = var.s3_migration_image
    environment = [
      { name = "PAAS_BUCKET", value = "s3://${each.value.source_bucket}" },
      { name = "PAAS_REGION", value = data.aws_region.current.name },
      { name = "NEW_BUCKET", value = "s3://${each.value.target_bucket}" },
      { name = "LOG_FORMAT", value = "json" },
      { name = "STATE", value = "s3://${var.report_bucket}/state" },
      { name = "REPORT", value = "s3://${var.report_bucket}/${each.key}" },
    ]
    secrets = [
      {
        name      = "PAAS_ACCESS_KEY_ID"
        valueFrom = "${aws_secretsmanager_secret.source_key[each.key].arn}:access_key_id::"
      },
      {
        name      = "PAAS_SECRET_ACCESS_KEY"
        valueFrom = "${aws_secretsmanager_secret.source_key[each.key].arn}:secret_access_key::"
      },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["s3-migration"].name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = each.key
        mode                  = "non-blocking"
        max-buffer-size       = "4m"
      }
    }
  })])
}
