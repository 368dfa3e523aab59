VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
RUN_CMD ?= bin/lakestep sample && bin/lakestep run

# minicore_disabled: without it the Snowflake driver writes a library of its own to the temporary folder at every start, and loads it.

.DEFAULT_GOAL := help
.PHONY: help build run test test/long test/terraform test/aws lint bench/sources package/aws deploy/aws rollback/aws destroy/aws lint/terraform clean clean/data

help: ## this list
	@awk -F ':.*## ' '/^[a-z\/]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/lakestep
	@tools/need.sh build
	go build -tags minicore_disabled -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/lakestep ./functions/cmd/lakestep

run: build ## the sample pipeline, from the landing files to the gold tables
	$(RUN_CMD)

test: ## vet, format, all Go tests, the state machines; installs the tests' tools into .tools/
	@tools/need.sh test
	@tools/setup.sh
	@tools/test.sh

test/long: ## the long tests, with Spark; the race detector; a minute of each fuzz target
	@tools/need.sh long
	@tools/setup.sh long
	@tools/test.sh long

test/terraform: ## the modules: every mutant of them, and the genuine AWS provider (built once) against moto; half an hour
	@tools/need.sh terraform
	@tools/setup.sh terraform
	@tools/test.sh terraform

test/aws: build package/aws ## the package in AWS's own Lambda emulator; make deploy/aws, runs, update, rollback and make destroy/aws against moto; half an hour
	@tools/need.sh aws
	@tools/setup.sh aws
	@tools/test.sh aws

lint: ## golangci-lint, when it is installed (the layers and sizes are also checked by `make test`)
	@command -v golangci-lint >/dev/null || { echo "golangci-lint is not installed: go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0"; exit 1; }
	golangci-lint run ./...

bench/sources: build ## the sources' speed beside dlt's and Sling's, an hour or two; ROWS, CHANGES, MESSAGES, RUNS, JOBS, ENGINES, OUT=file.json
	@tools/need.sh long
	@tools/setup.sh
	@tools/bench/setup.sh
	@.tools/bench/venv/bin/python tools/bench/run.py $(if $(ROWS),--rows $(ROWS)) $(if $(CHANGES),--changes $(CHANGES)) $(if $(MESSAGES),--messages $(MESSAGES)) \
		$(if $(RUNS),--runs $(RUNS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(ENGINES),--engines '$(ENGINES)') $(if $(OUT),-o $(OUT)) \
		$(if $(DLT_SOURCES),--dlt-sources $(DLT_SOURCES)) $(if $(SLING),--sling $(SLING))

package/aws: ## dist/lakestep-aws.zip: the functions for AWS Lambda; prints its size
	@tools/aws/package.sh

deploy/aws: ## the stack of terraform/examples/EXAMPLE (dev) into your AWS account: package, plan, apply, a run; TF_ARGS, YES=1
	@tools/aws/deploy.sh

rollback/aws: ## the code before this one, in all functions of EXAMPLE's stack; CODE
	@tools/aws/rollback.sh

destroy/aws: ## EXAMPLE's stack down, its data kept; KEEP_DATA=false deletes them, too
	@tools/aws/destroy.sh

lint/terraform: ## terraform fmt, tflint, checkov
	@tools/aws/lint.sh

clean: ## remove what was built, and the tests' tools
	rm -rf bin .tools

clean/data: ## remove what `make run` made: lake/ and landing/
	rm -rf lake landing
