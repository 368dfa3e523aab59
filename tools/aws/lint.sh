#!/usr/bin/env bash
# make lint/terraform: the form of terraform/, its use of the language (tflint) and what auditors ask of it (checkov). Each exception stands with its reason
# beside what it is about: #checkov:skip=ID:reason. Both tools are built once, into .tools/.
#
# That the modules can be planned and applied is for go test ./tools/terraformtest, which needs no account.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .tools

want=github.com/terraform-linters/tflint@v0.64.0
if [ "$(cat .tools/tflint/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: building tflint into .tools/tflint (some minutes)"
	rm -rf .tools/tflint
	GOBIN=$PWD/.tools/tflint go install -ldflags=-s "$want"
	echo "$want" >.tools/tflint/stamp
fi
want=$({ python3 --version; cat tools/aws/requirements.txt; pwd; } | git hash-object --stdin)
if [ "$(cat .tools/checkov/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing checkov into .tools/checkov"
	rm -rf .tools/checkov
	python3 -m venv .tools/checkov/venv
	.tools/checkov/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r tools/aws/requirements.txt
	echo "$want" >.tools/checkov/stamp
fi

echo "== terraform fmt"
terraform fmt -check -recursive -diff terraform
echo "== tflint"
.tools/tflint/tflint --chdir=terraform --recursive --config="$PWD/terraform/.tflint.hcl"
echo "== checkov"
LOG_LEVEL=ERROR .tools/checkov/venv/bin/checkov --directory terraform --framework terraform --compact --quiet --skip-download
