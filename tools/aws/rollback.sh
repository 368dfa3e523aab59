#!/usr/bin/env bash
# make rollback/aws: sets each function's alias live back to the newest version with other code than it has now, or with the code that CODE names
# (its CodeSha256). In seconds, without Terraform: the next make deploy/aws goes forward again, so mend the code before. Settings and state machines
# stay as they are: to take those back deploy the commit before.
. "$(dirname "$0")/lib.sh"

need terraform "https://developer.hashicorp.com/terraform/install, 1.9 or later"
need aws "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
arn=$(output state_machine_arn)
[ -n "$arn" ] || { echo "nothing is deployed from $dir" >&2; exit 1; }
use_region "$arn"

# First find all, then change all: half a rollback would be worse than none.
plan=()
while read -r name; do
	live=$(live_version "$name")
	versions=$(older_versions "$name")
	now=$(awk -v v="$live" '$1 == v { print $2 }' <<<"$versions")
	to=$(awk -v v="$live" -v now="$now" -v want="${CODE:-}" 'want != "" ? $2 == want : $1 + 0 < v + 0 && $2 != now { print $1; exit }' <<<"$versions")
	[ -n "$to" ] || { echo "$name: no version ${CODE:+with code $CODE }to go back to; nothing was changed" >&2; exit 1; }
	echo "$name: version $live -> $to"
	plan+=("$name $to")
done < <(function_names)
[ ${#plan[@]} -gt 0 ] || { echo "there are no functions" >&2; exit 1; }

ask "Set the functions back?"
for p in "${plan[@]}"; do
	aws lambda update-alias --function-name "${p% *}" --name live --function-version "${p#* }" --query '[AliasArn,FunctionVersion]' --output text
done
echo "Done. Runs that are under way go on with the new choice from their next step."
