#!/usr/bin/env bash
# make deploy/aws: builds the package, shows what would change, asks, changes it, and starts a run that must succeed. May be repeated: an update of the
# code is the same command. lib.sh lists the settings; also SKIP_PACKAGE=1 (take the package as it is) and SKIP_SMOKE=1.
. "$(dirname "$0")/lib.sh"

need terraform "https://developer.hashicorp.com/terraform/install, 1.9 or later"
[ -n "${SKIP_PACKAGE:-}" ] || make --no-print-directory build package/aws

if command -v aws >/dev/null; then
	say "account"
	aws sts get-caller-identity --query '[Account,Arn]' --output text
fi

say "terraform init ($dir)"
init

plan=$(mktemp)
trap 'rm -f "$plan"' EXIT
say "terraform plan"
code=0
tf plan -input=false -detailed-exitcode -out="$plan" "${tf_args[@]}" || code=$?
case $code in
0) echo "The stack is as it should be." ;;
2)
	ask "Change the account as shown?"
	say "terraform apply"
	tf apply -input=false "$plan"
	;;
*) exit "$code" ;;
esac

arn=$(output state_machine_arn)
use_region "$arn"
if [ -z "${SKIP_SMOKE:-}" ]; then
	say "a run, to see that it works"
	code=0
	bin/lakestep aws start --state-machine "$arn" --wait || code=$?
	case $code in
	0) ;;
	3) echo "A gate is closed: the stack works, the data want a look (docs/runbook-aws.md, Held)." >&2 ;;
	7) echo "So this deployment was not tried; its next run is the test: bin/lakestep aws status --wait --state-machine $arn" >&2 ;;
	*)
		echo "The run did not succeed: docs/runbook-aws.md. The code before this one is back with: make rollback/aws EXAMPLE=$example" >&2
		exit "$code"
		;;
	esac
fi
tools/aws/prune.sh || echo "Old versions of the functions stay: see above." >&2

say "outputs"
tf output
