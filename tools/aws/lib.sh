# What the scripts beside this one share; they source it.
#
#   EXAMPLE    the configuration: a folder of terraform/examples, or a path (dev)
#   TF_ARGS    arguments of terraform's plan, apply and destroy, parted by spaces: -var region=eu-west-1. Or write terraform.tfvars into the folder
#   TF_INIT    arguments of terraform init, or "skip" (a provider of one's own, by dev_overrides, cannot be initialised)
#   YES        1: ask nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

example=${EXAMPLE:-dev}
case $example in
*/*) dir=$example ;;
*) dir=terraform/examples/$example ;;
esac
[ -f "$dir/main.tf" ] || { echo "there is no configuration $dir: EXAMPLE is dev, prod or the path of a folder" >&2; exit 2; }

read -ra tf_args <<<"${TF_ARGS:-}"
tf() { terraform -chdir="$dir" "$@"; }

say() { printf '\n== %s\n' "$*"; }

need() { # command, where to get it
	command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 1; }
}

ask() { # question
	[ "${YES:-}" != 1 ] || return 0
	[ -t 0 ] || { echo "$1 Nobody is there to answer: say YES=1" >&2; exit 1; }
	local answer
	read -rp "$1 Only 'yes' goes on: " answer
	[ "$answer" = yes ] || { echo "Nothing was changed."; exit 1; }
}

init() {
	if [ "${TF_INIT:-}" = skip ]; then
		tf get
		return
	fi
	local args
	read -ra args <<<"${TF_INIT:-}"
	tf init -input=false "${args[@]}"
}

# output gives one of the configuration's outputs, empty when there is none.
output() { tf output -raw "$1" 2>/dev/null || true; }

# function_names lists the functions, one a line.
function_names() { tf output -json functions | tr ',' '\n' | sed -nE 's/^[{]?"[^"]+": ?"([^"]+)"[}]?$/\1/p'; }

# use_region sets the region of the aws command to that of an ARN.
use_region() {
	AWS_REGION=$(cut -d: -f4 <<<"$1")
	export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION
}

# older_versions FUNCTION: its published versions with the digest of their code, newest first.
older_versions() {
	aws lambda list-versions-by-function --function-name "$1" --query "Versions[?Version!='\$LATEST'].[Version,CodeSha256]" --output text | sort -rn
}

live_version() { aws lambda get-alias --function-name "$1" --name live --query FunctionVersion --output text; }
