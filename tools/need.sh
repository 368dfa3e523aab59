#!/usr/bin/env bash
# Checks what must be installed on this machine: `need.sh build` for building and running lakestep, `need.sh test`
# for the tests as well, `need.sh long` for the long tests, which run Spark, `need.sh terraform` and `need.sh aws` for make test/terraform and test/aws. For all that is missing it prints one line that installs it on Debian
# and Ubuntu, and a hint for what just some tests would like to have.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-build}
missing=() packages=()
need() { # name, Debian packages, command that succeeds when it is there
	local name=$1 debs=$2
	shift 2
	if ! "$@" >/dev/null 2>&1; then
		missing+=("$name")
		[ -z "$debs" ] || packages+=($debs)
	fi
}
have() { command -v "$1"; }

# A go command of 1.21 or later fetches the toolchain that go.mod names, unless GOTOOLCHAIN forbids it.
want_go=$(awk '$1 == "go" { print $2 }' go.mod)
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }
go_ok() {
	local v
	v=$(cd / && GOTOOLCHAIN=local go env GOVERSION) || return 1
	v=${v#go}
	v=${v%% *}
	at_least "$want_go" "$v" && return
	at_least 1.21 "$v" && case "$(go env GOTOOLCHAIN)" in auto | *+auto | path | *+path) true ;; *) false ;; esac
}
compiler() { have g++ || have clang++; }
venv() { python3 -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10)'; }
node_ok() { have npm && node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)'; }
java_ok() { java -version 2>&1 | grep -qE 'version "(1[7-9]|2[0-9])'; }

need git git have git
need make make have make
need "a C++ compiler" g++ compiler
need "go $want_go" "" go_ok
if [ "$mode" != build ]; then
	need "python 3.10 with venv" "python3 python3-venv" venv
	need "node 18 with npm" "nodejs npm" node_ok
fi
if [ "$mode" = long ]; then
	need "java 17" openjdk-17-jre-headless java_ok
	need maven maven have mvn
fi

case "$mode" in terraform | aws)
	need "terraform 1.9 (https://developer.hashicorp.com/terraform/install)" "" have terraform
	;;
esac
[ "$mode" != aws ] || need "the aws command" awscli have aws

# Without these the tests pass too, but leave something out; tools/test.sh lists that in the end.
postgres_ok() { [ -n "${LAKESTEP_TEST_POSTGRES:-}" ] || have initdb || ls -d /usr/lib/postgresql/*/bin/initdb; }
hints=()
hint() { # Debian package, command that succeeds when it is there
	local deb=$1
	shift
	"$@" >/dev/null 2>&1 || hints+=("$deb")
}
[ "$mode" = build ] || hint postgresql postgres_ok
if [ "$mode" = test ]; then # the long tests need them
	hint openjdk-17-jre-headless java_ok
	hint maven have mvn
fi
[ ${#hints[@]} -eq 0 ] || echo "hint: to test against PostgreSQL, Kafka and a schema registry as well: sudo apt-get install -y ${hints[*]}" >&2

[ ${#missing[@]} -gt 0 ] || exit 0

list=$(printf ', %s' "${missing[@]}")
install=""
case "$list" in *"go $want_go"*)
	packages+=(curl ca-certificates)
	install="curl -fsSL https://go.dev/dl/go$want_go.linux-\$(dpkg --print-architecture).tar.gz | sudo tar -C /usr/local -xz && export PATH=/usr/local/go/bin:\$PATH"
	;;
esac
[ ${#packages[@]} -eq 0 ] || install="sudo apt-get update && sudo apt-get install -y ${packages[*]}${install:+ && $install}"
echo "missing: ${list:2}. On Debian or Ubuntu: $install" >&2
exit 1
