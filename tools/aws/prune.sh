#!/usr/bin/env bash
# Deletes published versions of the functions but the newest KEEP (5) and the one that is live: each keeps a copy of the package, of which an account may
# hold 75 GB. deploy.sh calls it.
. "$(dirname "$0")/lib.sh"

command -v aws >/dev/null || { echo "the aws command is missing: old versions stay" >&2; exit 1; }
use_region "$(output state_machine_arn)"

while read -r name; do
	live=$(live_version "$name")
	older_versions "$name" | awk -v live="$live" -v keep="${KEEP:-5}" 'NR > keep && $1 != live { print $1 }' | while read -r version; do
		aws lambda delete-function --function-name "$name" --qualifier "$version" >/dev/null
		echo "$name: version $version deleted"
	done
done < <(function_names)
