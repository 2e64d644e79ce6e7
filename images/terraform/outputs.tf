output "security_groups" {
  description = "For the network configuration of run-task."
  value = var.create_migration_infra ? {
    db_migration = aws_security_group.db_migration[0].id
    s3_migration = aws_security_group.s3_migration[0].id
  } : {}
}

output "task_definitions" {
  description = "For run-task."
  value = var.create_migration_infra ? merge(
    { db-migration = aws_ecs_task_definition.db_migration[0].arn },
    { for name, task in aws_ecs_task_definition.s3_migration : "s3-migration-${name}" => task.arn },
  ) : {}
}

output "repositories" {
  description = "Where publish-images pushes to."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}
