# The package goes to the bucket once, and each function takes it from there: uploading it function by function would send it a dozen times,
# and Lambda takes no more than 50 MB that way.

resource "aws_s3_object" "package" {
  bucket      = var.bucket
  key         = "${var.package_prefix}/lakestep-aws.zip"
  source      = var.package
  source_hash = local.package_hash
  kms_key_id  = var.kms_key_arn
}

locals {
  package_hash = fileexists(var.package) ? filebase64sha256(var.package) : "missing"

  code = {
    bucket  = aws_s3_object.package.bucket
    key     = aws_s3_object.package.key
    version = aws_s3_object.package.version_id
    hash    = local.package_hash
  }
}
