#!/usr/bin/env bash
# make package/aws: dist/lakestep-aws.zip, one package for all functions: the program, and the pipelines in config/. The program is static, because the
# runtime provided.al2023 has an older C library than most machines that build it; the linker's warnings about that (dlopen, getpwuid, getaddrinfo) are of
# parts of DuckDB that lakestep has no use for.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/need.sh build
mkdir -p dist
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}
began=$SECONDS
GOOS=linux GOARCH=amd64 CGO_ENABLED=1 go build -trimpath -tags 'minicore_disabled lambda.norpc netgo osusergo' \
	-ldflags "-s -w -X main.version=$version -linkmode external -extldflags '-static'" -o dist/bootstrap ./functions/cmd/lambda 2>dist/build.log || {
	cat dist/build.log >&2
	exit 1
}
grep -v 'statically linked applications requires at runtime\|in function .\(duckdb\|std\)\|^# ' dist/build.log >&2 || true
go run ./tools/package dist/lakestep-aws.zip dist/bootstrap ${PIPELINES:-config}
echo "built in $((SECONDS - began)) s for x86_64"
