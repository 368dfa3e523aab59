#!/usr/bin/env bash
# Installs what only the tests need into .tools/ (ignored by git): the Python readers of requirements.txt, the npm tools of package.json, and
# the object services versitygw (S3), moto (AWS) and Azurite (Azure Blob), Kafka with a schema registry, and fakesnow (Snowflake); with
# `setup.sh long` also Spark with Delta's jars, with `setup.sh terraform` an AWS provider, with `setup.sh aws` that and AWS's Lambda emulator. A stamp with the digest of what was asked for makes the next call instant.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .tools
if command -v flock >/dev/null; then # two test runs at once: the second waits for the first one's installation
	exec 9>.tools/lock
	flock 9
fi

python=$(command -v python3)
stamp() { cat "$@" | git hash-object --stdin; }

want=$({ "$python" --version; cat tools/requirements.txt; pwd; } | stamp -)
if [ "$(cat .tools/venv/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing the Python readers into .tools/venv"
	rm -rf .tools/venv
	"$python" -m venv .tools/venv
	.tools/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r tools/requirements.txt
	echo "$want" >.tools/venv/stamp
fi

want=$(stamp tools/package.json tools/package-lock.json)
if [ "$(cat .tools/npm/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing asl-validator into .tools/npm"
	rm -rf .tools/npm
	mkdir -p .tools/npm
	cp tools/package.json tools/package-lock.json .tools/npm/
	npm ci --prefix .tools/npm --no-audit --no-fund --loglevel=error
	echo "$want" >.tools/npm/stamp
fi

versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
want=$(echo "$versitygw $(go env GOOS GOARCH)" | stamp -)
if [ "$(cat .tools/versitygw/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: building versitygw into .tools/versitygw (1 to 2 minutes)"
	rm -rf .tools/versitygw
	GOBIN=$PWD/.tools/versitygw go install -ldflags=-s "$versitygw"
	echo "$want" >.tools/versitygw/stamp
fi

want=$(stamp tools/azurite/package.json tools/azurite/package-lock.json)
if [ "$(cat .tools/azurite/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing Azurite into .tools/azurite"
	rm -rf .tools/azurite
	mkdir -p .tools/azurite
	cp tools/azurite/package.json tools/azurite/package-lock.json .tools/azurite/
	npm ci --prefix .tools/azurite --no-audit --no-fund --loglevel=error
	echo "$want" >.tools/azurite/stamp
fi

want=$({ "$python" --version; cat tools/moto/requirements.txt; pwd; } | stamp -)
if ! "$python" -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null; then
	echo "tools: no moto: it needs python 3.11, this is $("$python" --version); the tests against it will be skipped" >&2
	rm -rf .tools/moto
elif [ "$(cat .tools/moto/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing moto into .tools/moto"
	rm -rf .tools/moto
	"$python" -m venv .tools/moto/venv
	.tools/moto/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r tools/moto/requirements.txt
	echo "$want" >.tools/moto/stamp
fi

want=$({ "$python" --version; cat tools/fakesnow/requirements.txt; pwd; } | stamp -)
if ! "$python" -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null; then
	echo "tools: no fakesnow: it needs python 3.11, this is $("$python" --version); the tests against it will be skipped" >&2
	rm -rf .tools/fakesnow
elif [ "$(cat .tools/fakesnow/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing fakesnow into .tools/fakesnow"
	rm -rf .tools/fakesnow
	"$python" -m venv .tools/fakesnow/venv
	.tools/fakesnow/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r tools/fakesnow/requirements.txt
	echo "$want" >.tools/fakesnow/stamp
fi

. tools/java.sh
want=$({ java -version 2>&1 || true; cat tools/kafka/pom.xml tools/java.sh; pwd; } | stamp -)
if ! java_ok; then
	echo "tools: no Kafka and no schema registry: they need java 17 and maven; the tests against them will be skipped" >&2
	rm -rf .tools/kafka .tools/registry
elif [ "$(cat .tools/kafka/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing Kafka into .tools/kafka"
	rm -rf .tools/kafka
	maven copy-dependencies kafka
	java_args kafka "$(printf '%s:' "$PWD"/.tools/kafka/app/*.jar)"
	kafka_once "$(free_port)" "$(free_port)"
	echo "$want" >.tools/kafka/stamp
fi

want=$({ java -version 2>&1 || true; cat tools/registry/pom.xml tools/java.sh; pwd; } | stamp -)
if java_ok && [ "$(cat .tools/registry/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing a schema registry into .tools/registry"
	rm -rf .tools/registry
	maven unpack-dependencies registry
	java_args registry "$(printf '%s:' "$PWD"/.tools/registry/app/*-runner.jar)"
	registry_once "$(free_port)"
	echo "$want" >.tools/registry/stamp
fi

if [ "${1:-}" = aws ]; then # the emulator of Lambda's runtime that AWS has in its images; of the packages that can be had here, sam's holds it
	want=$(echo "aws-sam-cli 1.170.0" | stamp -)
	if [ "$(cat .tools/rie/stamp 2>/dev/null)" != "$want" ]; then
		echo "tools: fetching AWS's Lambda emulator into .tools/rie"
		rm -rf .tools/rie
		mkdir -p .tools/rie
		"$python" -m pip download --quiet --disable-pip-version-check --no-input --no-deps --dest .tools/rie aws-sam-cli==1.170.0
		"$python" -c 'import sys, zipfile; open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read("samcli/local/rapid/aws-lambda-rie-x86_64"))' .tools/rie/*.whl .tools/rie/aws-lambda-rie
		chmod +x .tools/rie/aws-lambda-rie
		rm .tools/rie/*.whl
		echo "$want" >.tools/rie/stamp
	fi
fi

if [ "${1:-}" = terraform ] || [ "${1:-}" = aws ]; then
	# The genuine AWS provider of May 2021, the last that is a Go module of its own. No later one can be built from the module proxy.
	provider=github.com/terraform-providers/terraform-provider-aws version=v1.60.1-0.20210513231836-489654890359
	want=$(echo "$provider@$version $(go env GOVERSION GOOS GOARCH)" | stamp -)
	if [ "$(cat .tools/terraform-provider-aws/stamp 2>/dev/null)" != "$want" ]; then
		echo "tools: building the AWS provider 3.40 into .tools/terraform-provider-aws (5 to 10 minutes, 4 GB of memory)"
		rm -rf .tools/terraform-provider-aws
		mkdir -p .tools/terraform-provider-aws/src
		(cd .tools/terraform-provider-aws/src && go mod init build && go get "$provider@$version" && nice go build -ldflags=-s -o ../terraform-provider-aws "$provider") \
			>.tools/terraform-provider-aws/log 2>&1 || { cat .tools/terraform-provider-aws/log >&2; exit 1; }
		echo "$want" >.tools/terraform-provider-aws/stamp
	fi
fi

[ "${1:-}" = long ] || exit 0
want=$({ "$python" --version; cat tools/spark/requirements.txt tools/spark/pom.xml; pwd; } | stamp -)
if [ "$(cat .tools/spark/stamp 2>/dev/null)" != "$want" ]; then
	echo "tools: installing Spark and Delta's jars into .tools/spark"
	rm -rf .tools/spark
	"$python" -m venv .tools/spark/venv
	.tools/spark/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r tools/spark/requirements.txt
	mvn --quiet --batch-mode -Dstyle.color=never -f tools/spark/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/.tools/spark/jars"
	echo "$want" >.tools/spark/stamp
fi
