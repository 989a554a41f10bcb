# Everything here sets itself up: it needs git, make, and Python 3.11 or newer with its venv module.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

UV_VERSION := 0.13.9
UV         := .tools/bin/uv
BIN        := .venv/bin
SEEDS      := 20
JOBS       := 2
PROGRESS   := .cache/fault-progress.txt

# The first Python that is new enough and can make virtual environments. Another: make PYTHON=/path/to/python
PYTHON = $(firstword $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$python"; done))

# Taken from the command line alone: these names are common in people's environments.
given = $(if $(filter command line,$(origin $(1))),$($(1)))
DEMO_OPTIONS = $(if $(call given,LOG),--log $(LOG)) $(if $(call given,STORE),--store $(STORE)) $(ARGS)

##@ Use
.PHONY: help
help: ## Show this help
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.ready ## Watch traffic come in, be kept and be erased (ARGS="--messages 1000", ARGS="--json")
	@$(BIN)/custody demo $(DEMO_OPTIONS)

.PHONY: kafka
kafka: .venv/.ready ## Start a Kafka on this machine, until Ctrl-C; prints its address (ARGS="--brokers 3")
	@$(BIN)/python -m broker.log.kafka.local $(ARGS)

.PHONY: setup
setup: .venv/.ready ## Install Custody and its tools into .venv; every other target does it by itself

##@ Develop
.PHONY: test
test: .venv/.ready ## Run the tests, two files at once (ARGS="tests/unit -x", JOBS=4)
	@$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile --durations=20 --durations-min=10 $(ARGS)

.PHONY: fault
fault: .venv/.ready ## Run the fault tests with many seeds, some at once; again after an interruption, it goes on (SEEDS=20)
	@mkdir -p $(dir $(PROGRESS))
	@$(BIN)/pytest --numprocesses=$(JOBS) --dist=worksteal \
	  -m fault --fault-seeds=$(SEEDS) --progress=$(PROGRESS) $(ARGS)
	@rm -f $(PROGRESS)

.PHONY: mutants
mutants: .venv/.ready ## Take out each protection, and expect its test to fail (ARGS="05", ARGS="--json")
	@$(BIN)/python -m tests.mutants $(ARGS)

.PHONY: bench
bench: .venv/.ready ## Measure the hot path next to a floor in the same run (ARGS="growth", ARGS="--runs 3")
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-full
bench-full: .venv/.plots ## Measure all there is, for hours; again after an interruption, it goes on (ARGS="--anew")
	@$(BIN)/python -m benchmarks full $(ARGS)
	@$(BIN)/python -m benchmarks plot $(ARGS)

.PHONY: plots
plots: .venv/.plots ## Draw what the benchmarks found, beside the results
	@$(BIN)/python -m benchmarks plot $(ARGS)

.PHONY: contract
contract: .venv/.ready ## Write the contract for subscribers anew, from the code
	@$(BIN)/python -m broker.contract write

.PHONY: format
format: .venv/.ready ## Rewrite the code as ruff formats it, and mend what it can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

##@ Check
.PHONY: lint
lint: .venv/.ready ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: .venv/.ready ## mypy, strict, on source and tests
	@$(BIN)/mypy

.PHONY: contracts
contracts: .venv/.ready ## Imports point inward; the contract for subscribers is what the code says, and breaks no reader
	@$(BIN)/lint-imports
	@$(BIN)/python -m broker.contract check

.PHONY: check
check: lint types contracts test ## All of these and the tests: what CI runs

##@ Tidy
.PHONY: clean
clean: ## Remove the environments, the caches and what was built
	@rm -rf .venv .tools .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
	@find broker backends connectors tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Setting up speaks on standard error only, so that a command's standard output is its own. It takes pip's and
# uv's own variables as they are; where they say nothing, uv trusts whom pip or the system trusts.
define sync
@UV_PYTHON="$${UV_PYTHON:-$(abspath .tools/bin/python)}" \
 UV_PYTHON_DOWNLOADS="$${UV_PYTHON_DOWNLOADS:-never}" \
 UV_SYSTEM_CERTS="$${UV_SYSTEM_CERTS:-1}" \
 UV_PROJECT_ENVIRONMENT=.venv; \
 export UV_PYTHON UV_PYTHON_DOWNLOADS UV_SYSTEM_CERTS UV_PROJECT_ENVIRONMENT; \
 if test -n "$$PIP_CERT" && test -z "$$SSL_CERT_FILE"; then export SSL_CERT_FILE="$$PIP_CERT"; fi; \
 $(UV) sync --quiet --frozen --all-extras $(1) >&2
@touch $@
endef

.venv/.ready: .tools/.uv-$(UV_VERSION) pyproject.toml uv.lock
	$(call sync)

.venv/.plots: .venv/.ready
	$(call sync,--group plots)

.tools/.uv-$(UV_VERSION):
	@test -n "$(PYTHON)" || { echo "Custody needs Python 3.11 or newer with its venv module, and found none\
	 (Debian: apt install python3 python3-venv)" >&2; exit 1; }
	@echo "Setting up, once: about a minute" >&2
	@"$(PYTHON)" -m venv --clear .tools >&2
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)" >&2
	@touch $@
