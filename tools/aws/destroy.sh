#!/usr/bin/env bash
# make destroy/aws: takes the stack down and keeps the data: the bucket, the key that opens it, the secrets and the catalog stay, and the next
# make deploy/aws puts the rest back around them. KEEP_DATA=false deletes all of it, for good. lib.sh lists the other settings.
. "$(dirname "$0")/lib.sh"

need terraform "https://developer.hashicorp.com/terraform/install, 1.9 or later"
say "terraform init ($dir)"
init

case ${KEEP_DATA:-true} in
true)
	bucket=$(output bucket)
	# What depends on these goes with them; what they depend on stays.
	targets=()
	for m in triggers observability workflow functions network catalog.aws_glue_crawler.lake catalog.aws_athena_workgroup.lake; do
		targets+=("-target=module.lakestep.module.$m")
	done
	say "terraform plan -destroy"
	tf plan -input=false -destroy "${targets[@]}" "${tf_args[@]}"
	ask "Take down all of this, and keep the data?"
	say "terraform destroy"
	tf destroy -input=false -auto-approve "${targets[@]}" "${tf_args[@]}"
	echo "The data are still in s3://$bucket. make destroy/aws EXAMPLE=$example KEEP_DATA=false deletes them, too."
	;;
false)
	bucket=$(output bucket)
	say "terraform plan -destroy"
	tf plan -input=false -destroy "${tf_args[@]}"
	ask "Delete all of this, with s3://$bucket and every version of every object in it, for good?"
	# The protection is a setting of the bucket, the key and the secrets: it is taken off first.
	say "terraform apply, without protection"
	tf apply -input=false -auto-approve -target=module.lakestep.module.lake -target=module.lakestep.module.secrets "${tf_args[@]}" -var protect_data=false
	say "terraform destroy"
	tf destroy -input=false -auto-approve "${tf_args[@]}" -var protect_data=false
	;;
*)
	echo "KEEP_DATA is true or false" >&2
	exit 2
	;;
esac
