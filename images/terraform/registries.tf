resource "aws_ecr_repository" "this" {
  for_each = local.registries
  provider = aws.registries

  name                 = each.key
  image_tag_mutability = "MUTABLE"

  # publish-images remove empties a repository with it; Terraform then finds it gone.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_repository_policy" "pull" {
  for_each = length(var.pull_principals) > 0 ? local.registries : toset([])
  provider = aws.registries

  repository = aws_ecr_repository.this[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Pull"
      Effect    = "Allow"
      Principal = { AWS = var.pull_principals }
      Action = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
      ]
    }]
  })
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = local.programs

  name              = "/${var.prefix}/${each.key}"
  retention_in_days = var.log_retention_days
}
