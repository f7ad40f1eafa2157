# One verb per chore, the same for people and for CI. `make` alone lists them.
# Everything happens in .venv, made on first use from the pinned requirements; nothing else is installed or changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PROTOS := $(sort $(wildcard protos/taskstate/v1/*.proto))
PROTOC := $(BIN)/python -m grpc_tools.protoc -I protos

# Empty files that say what has been installed; each is older than its lock file exactly when there is work to do.
MADE := $(VENV)/.made
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up test drills lint gen verify

help: ## list these commands
	@echo "taskstate: the truth about background jobs."
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'
	@echo
	@echo "  Settings, ports and exit codes: docs/running.md"

# The last command of a recipe replaces the shell: SIGTERM to make then reaches `up` itself (see services/up/make_watch.py).
demo: $(RUNTIME) ## start everything, run a real job and watch it (ONCE=1: stop when it has ended)
	@exec $(BIN)/python -m services.up --demo $(if $(filter 1 y yes true,$(ONCE)),--once) --stop-with-make

up: $(RUNTIME) ## start everything and serve until Ctrl-C
	@exec $(BIN)/python -m services.up --stop-with-make

test: $(DEV) ## run all tests, then show how much of the code they ran
	@PATH="$(CURDIR)/$(BIN):$$PATH" exec sh scripts/test.sh $(ARGS)

drills: $(DEV) ## kill, freeze and cut off real processes at default settings, and print how soon the truth was told
	@exec $(BIN)/python -m tests.drills $(ARGS)

lint: $(DEV) ## check style, types, who imports whom, and the API
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/api_breaking.sh

gen: $(DEV) ## generate the Python code of the API from protos/
	$(PROTOC) --python_out=sdk/python --pyi_out=sdk/python --grpc_python_out=sdk/python $(PROTOS)

verify: $(DEV) ## check that generated code and lock files are up to date
	$(BIN)/python scripts/verify_generated.py $(PROTOS)
	$(BIN)/python scripts/verify_locks.py

$(MADE):
	@found=; for name in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "taskstate needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$found cannot make virtual environments: install its venv package (Debian: python3-venv)" >&2; exit 1; \
	fi; \
	"$$found" -m venv $(VENV)
	@touch $@

$(RUNTIME): requirements/runtime.txt pyproject.toml | $(MADE)
	@echo "Installing pinned dependencies into $(VENV) (the first time takes about a minute) ..."
	@$(PIP) install -qq --require-hashes -r requirements/runtime.txt
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

# The development lock contains the runtime lock, version for version, so one installation serves for both.
$(DEV): requirements/dev.txt requirements/runtime.txt pyproject.toml | $(MADE)
	@echo "Installing pinned development dependencies into $(VENV) (the first time takes about a minute) ..."
	@$(PIP) install -qq --require-hashes -r requirements/dev.txt
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $(RUNTIME) $@
