#!/usr/bin/env bash
# Runs the suites one after the other, and says at the end what each took. `test.sh` runs those of `make test`,
# `test.sh long` those of `make test/long`, `test.sh terraform` and `test.sh aws` those of `make test/terraform` and `make test/aws`. All suites run even if one fails; the exit code is 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.."
export LAKESTEP_TEST_PYTHON=$PWD/.tools/venv/bin/python
export LAKESTEP_TEST_VERSITYGW=$PWD/.tools/versitygw/versitygw
[ ! -d .tools/moto ] || export LAKESTEP_TEST_MOTO=$PWD/.tools/moto/venv/bin/moto_server # python 3.10 has none: what it skips is listed at the end
[ ! -d .tools/fakesnow ] || export LAKESTEP_TEST_FAKESNOW=$PWD/.tools/fakesnow/venv/bin/fakesnow # as moto
export LAKESTEP_TEST_AZURITE=$PWD/.tools/azurite/node_modules/.bin/azurite-blob
[ ! -d .tools/kafka ] || export LAKESTEP_TEST_KAFKA=$PWD/.tools/kafka # without java 17 and maven there is none
[ ! -d .tools/registry ] || export LAKESTEP_TEST_REGISTRY=$PWD/.tools/registry # nor this
export LAKESTEP_ASL_VALIDATOR=$PWD/.tools/npm/node_modules/.bin/asl-validator

report="" failed=0
skipped=$(mktemp)
trap 'rm -f "$skipped"' EXIT
suite() { # name, command
	local name=$1 start=$SECONDS result=ok
	shift
	echo "== $name"
	"$@" || { result=FAILED failed=1; }
	report+=$(printf '%6d s  %-6s  %s' $((SECONDS - start)) "$result" "$name")$'\n'
}

gofmt_clean() {
	local files
	files=$(git ls-files -co --exclude-standard '*.go' | while read -r f; do [ ! -f "$f" ] || echo "$f"; done | xargs -r gofmt -l) || return
	[ -z "$files" ] || { echo "not formatted (run gofmt -w): $files" | tr '\n' ' '; echo; return 1; }
}

go_test() { go test -tags minicore_disabled -json "$@" | "$LAKESTEP_TEST_PYTHON" tools/gotest.py "$skipped"; }

state_machines() {
	local f n=0
	for f in statemachines/*.asl.json; do
		[ -e "$f" ] || continue
		n=$((n + 1))
		"$LAKESTEP_ASL_VALIDATOR" --json-path "$f" || { echo "$f is not valid"; return 1; }
	done
	echo "$n state machines valid"
}

# Every fuzz target of every package, ten minutes each (FUZZTIME to change it).
fuzz() {
	local file dir name result=0
	while IFS=: read -r file name; do
		dir=./$(dirname "$file")
		echo "-- $dir $name"
		go test -tags minicore_disabled "$dir" -run '^$' -fuzz "^$name\$" -fuzzminimizetime 2s -fuzztime "${FUZZTIME:-10m}" || result=1
	done < <(git ls-files -co --exclude-standard '*_test.go' | xargs -r grep -oE '^func Fuzz[A-Za-z0-9_]*' /dev/null | sed 's/func //')
	return $result
}

case "${1:-}" in
"")
	suite "go vet" go vet -tags minicore_disabled ./...
	suite "gofmt" gofmt_clean
	suite "go test" go_test -count=1 -timeout 20m ./...
	suite "asl-validator" state_machines
	;;
long)
	export LAKESTEP_LONG=1 LAKESTEP_TEST_SPARK=$PWD/.tools/spark
	suite "go test, long" go_test -count=1 -timeout 60m ./...
	unset LAKESTEP_LONG
	suite "go test -race" go_test -race -count=1 -timeout 60m ./...
	suite "fuzz" fuzz
	;;
terraform)
	export LAKESTEP_TERRAFORM=1 LAKESTEP_TEST_AWS_PROVIDER=$PWD/.tools/terraform-provider-aws/terraform-provider-aws
	suite "terraform" go_test -count=1 -timeout 120m ./tools/tfprovider ./tools/terraformtest
	;;
aws)
	export LAKESTEP_TEST_AWS_PROVIDER=$PWD/.tools/terraform-provider-aws/terraform-provider-aws LAKESTEP_TEST_RIE=$PWD/.tools/rie/aws-lambda-rie
	export LAKESTEP_TEST_PACKAGE=$PWD/dist/lakestep-aws.zip
	suite "the package in AWS's emulator" go_test -count=1 -timeout 20m -run TestPackage ./functions/cmd/lambda
	suite "deploy, run, update, roll back, destroy" go_test -count=1 -timeout 60m -run TestDeploy ./tools/terraformtest
	[ ! -s "$skipped" ] || failed=1 # this target is where these run
	;;
*)
	echo "usage: tools/test.sh [long|terraform|aws]" >&2
	exit 2
	;;
esac
printf '\n%s' "$report"
if [ -s "$skipped" ]; then
	printf '\nNot everything was tested:\n'
	sort -u "$skipped"
fi
exit $failed
