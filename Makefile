# Needs Python 3.11 or newer with venv; everything else is fetched into .venv at the first use.
# ARGS are handed on: make up ARGS="--port 4223", make test ARGS="-k timeline".

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# Each worker has its own broker and databases; a file stays with one. One by one, as for --pdb: WORKERS=
WORKERS ?= --numprocesses 2 --dist loadfile
# One environment per clone, the project in it editable. A stamp says for what it is complete.
UP := .venv/.complete-for-up
DEV := .venv/.complete-for-dev
PIP := $(BIN)/pip -qq --disable-pip-version-check

# Ctrl-C goes to the program alone, which ends as it should; make sees its exit code.
FOREGROUND := if [ -t 0 ]; then set -m; fi;

.DEFAULT_GOAL := help
.PHONY: help up demo test bench format clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## */  make \1\t/p' Makefile | expand -t 16

up: $(UP)  ## broker, registry and an agent on this machine's devices; Ctrl-C ends it, the history stays
	@$(FOREGROUND) $(BIN)/mdevreg-server up $(ARGS)

demo: $(UP)  ## the same with a simulated fleet of 50 hosts that lives
	@$(FOREGROUND) $(BIN)/mdevreg-server up --demo 50 $(ARGS)

test: $(DEV)  ## the gate: format, lint, import contracts, types, tests
	@started=$$(date +%s); \
	stage() { printf '\n== %s\n' "$$1"; shift; "$$@" || { printf '\nfailed: %s\n' "$$*" >&2; exit 1; }; }; \
	stage format $(BIN)/ruff format --check --quiet && \
	stage lint $(BIN)/ruff check --quiet && \
	stage 'import contracts' $(BIN)/lint-imports --no-logo && \
	stage types $(BIN)/mypy && \
	stage tests $(BIN)/pytest $(WORKERS) $(ARGS) && \
	printf '\nall green in %s s\n' "$$(($$(date +%s) - started))"

bench: $(DEV)  ## how fast, as ratios to the raw floor, measured in the same run
	@$(FOREGROUND) $(BIN)/python tests/benchmarks $(ARGS)

format: $(DEV)  ## format the code and mend what the linter can mend
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix --quiet

clean:  ## remove the environment and every cache; no history of yours is here
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	@find agent registry migrations tests -type d -name __pycache__ -prune -exec rm -rf {} +

# Its pip comes last into a new environment: where it is, the environment is whole.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$({ $(PYTHON) --version; } 2>/dev/null); \
  echo "mdevreg needs Python 3.11 or newer; '$(PYTHON)' is $${found:-not found}." >&2; \
	  echo "Name another one: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@echo "setting up .venv; once, about a minute" >&2
	@$(PYTHON) -m venv --clear .venv

$(UP): pyproject.toml | $(BIN)/pip
	@$(PIP) install --editable '.[up]'
	@touch $@

# The wheels for the packaging tests are fetched now, so that the gate needs no network afterwards.
$(DEV): pyproject.toml | $(BIN)/pip
	@$(PIP) install --editable '.[dev]'
	@$(BIN)/python tests/support/wheelhouse.py
	@touch $(UP) $@
