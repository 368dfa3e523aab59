#!/usr/bin/env bash
# Installs the peers of the benchmark into .tools/bench/venv, and builds what starts the servers. A stamp makes the next call instant.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .tools/bench
python=$(command -v python3)
want=$({ "$python" --version; cat tools/bench/requirements.txt; pwd; } | git hash-object --stdin)
if [ "$(cat .tools/bench/venv/stamp 2>/dev/null)" != "$want" ]; then
	echo "bench: installing dlt and Sling into .tools/bench/venv (2 to 3 minutes)"
	rm -rf .tools/bench/venv
	"$python" -m venv .tools/bench/venv
	.tools/bench/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r tools/bench/requirements.txt
	[ ! -f .tools/bench/venv/bin/duckdb ] || chmod +x .tools/bench/venv/bin/duckdb # the wheel's is not
	mkdir -p .tools/bench/home/.duckdb                                           # where Sling's DuckDB looks for its extensions
	ln -sfn "$(echo "$PWD"/.tools/bench/venv/lib/python*/site-packages/duckdb_ext/extensions)" .tools/bench/home/.duckdb/extensions
	echo "$want" >.tools/bench/venv/stamp
fi
go test -c -o .tools/bench/services ./tools/bench
