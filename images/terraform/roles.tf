locals {
  assume_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role" "execution" {
  count = local.enabled

  name               = "${var.prefix}-migration-execution"
  assume_role_policy = local.assume_by_tasks
}

resource "aws_iam_role_policy" "execution" {
  count = local.enabled

  name = "start-migration-tasks"
  role = aws_iam_role.execution[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Token", Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
      {
        Sid      = "Pull"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = ["arn:aws:ecr:*:*:repository/db-migration", "arn:aws:ecr:*:*:repository/s3-migration"]
      },
      {
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*"]
      },
      {
        Sid    = "Secrets"
        Effect = "Allow"
        Action = "secretsmanager:GetSecretValue"
        Resource = concat(
          [aws_secretsmanager_secret.database_url[0].arn, aws_secretsmanager_secret.source_database_url[0].arn],
          [for secret in aws_secretsmanager_secret.source_key : secret.arn],
        )
      },
      { Sid = "SecretsKey", Effect = "Allow", Action = "kms:Decrypt", Resource = var.secrets_key_arn },
    ]
  })
}

resource "aws_iam_role" "db_migration" {
  count = local.enabled

  name               = "${var.prefix}-db-migration-task"
  assume_role_policy = local.assume_by_tasks
}

resource "aws_iam_role_policy" "db_migration" {
  count = local.enabled

  name = "report"
  role = aws_iam_role.db_migration[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Reports"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
        Resource = "arn:aws:s3:::${var.report_bucket}/*"
      },
      {
        Sid      = "ReportsUploads"
        Effect   = "Allow"
        Action   = "s3:ListBucketMultipartUploads"
        Resource = "arn:aws:s3:::${var.report_bucket}"
      },
      {
        Sid      = "ReportsKey"
        Effect   = "Allow"
        Action   = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource = var.report_key_arn
      },
    ]
  })
}

resource "aws_iam_role" "s3_migration" {
  count = local.enabled

  name               = "${var.prefix}-s3-migration-task"
  assume_role_policy = local.assume_by_tasks
}

resource "aws_iam_role_policy" "s3_migration" {
  count = local.enabled

  name = "copy-buckets"
  role = aws_iam_role.s3_migration[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "TargetObjects"
        Effect = "Allow"
        Action = [
          "s3:GetObject",
          "s3:GetObjectTagging",
          "s3:PutObject",
          "s3:PutObjectTagging",
          "s3:AbortMultipartUpload",
          "s3:ListMultipartUploadParts",
        ]
        Resource = [for bucket in local.buckets : "arn:aws:s3:::${bucket.target_bucket}/*"]
      },
      {
        Sid    = "TargetBuckets"
        Effect = "Allow"
        Action = [
          "s3:ListBucket",
          "s3:ListBucketMultipartUploads",
          "s3:GetLifecycleConfiguration",
          "s3:GetBucketVersioning",
          "s3:GetBucketPolicy",
        ]
        Resource = [for bucket in local.buckets : "arn:aws:s3:::${bucket.target_bucket}"]
      },
      {
        Sid      = "TargetKeys"
        Effect   = "Allow"
        Action   = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource = distinct(concat([for bucket in local.buckets : bucket.target_key_arn], [var.report_key_arn]))
      },
      {
        Sid      = "ReportsAndState"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = "arn:aws:s3:::${var.report_bucket}/*"
      },
      {
        Sid      = "ReportsAndStateBucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = "arn:aws:s3:::${var.report_bucket}"
      },
    ]
  })
}
