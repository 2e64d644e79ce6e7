# Everything that the migration needs in AWS, for one environment, behind one switch: see README.md.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"

      # The account that holds the registries; often the same one.
      configuration_aliases = [aws.registries]
    }
  }
}
