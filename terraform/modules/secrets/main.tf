# Places for credentials. Their values never come here: Terraform's state would hold them in the clear. Put them in by hand or by a rotation:
#
#   aws secretsmanager put-secret-value --secret-id NAME/SECRET --secret-string file://db.json
#
# A pipeline refers to one as aws-secretsmanager:NAME/SECRET#field (docs/secrets.md).

locals {
  rotated = { for name, s in var.secrets : name => s if s.rotation_lambda_arn != null }
}

resource "aws_secretsmanager_secret" "source" {
  #checkov:skip=CKV2_AWS_57:Rotation needs a function that knows the source; by variable (rotation_lambda_arn). docs/aws.md says how to do it by hand.
  for_each = var.secrets

  name                    = "${var.name}/${each.key}"
  description             = each.value.description
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.protect_data ? 30 : 0
}

# No other account gets at a secret, whatever a policy of theirs or a wrong one of ours says.
resource "aws_secretsmanager_secret_policy" "source" {
  for_each = var.secrets

  secret_arn          = aws_secretsmanager_secret.source[each.key].arn
  block_public_policy = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ThisAccountOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "secretsmanager:GetSecretValue"
      Resource  = "*"
      Condition = {
        StringNotEquals = { "aws:PrincipalAccount" = var.account.id }
        Bool            = { "aws:PrincipalIsAWSService" = "false" }
      }
    }]
  })
}

# lakestep reads a rotated secret within five minutes, without a deployment.
resource "aws_secretsmanager_secret_rotation" "source" {
  #checkov:skip=CKV_AWS_304:The check cannot see the number of days, which is 30 unless it is said otherwise, and at most 90.
  for_each = local.rotated

  secret_id           = aws_secretsmanager_secret.source[each.key].id
  rotation_lambda_arn = each.value.rotation_lambda_arn
  rotate_immediately  = false # the first value may not be there yet

  rotation_rules {
    automatically_after_days = each.value.rotation_days
  }
}
