# emw: everything from a bare clone. Needs Python 3.11 or later with pip and venv, and make.
#
# What is installed goes to .venv; a stamp file remembers each step, so only the first run takes its time.
# Set-up speaks on stderr: stdout belongs to the program (`make demo ARGS="--once --json" | jq .`). With `make -C` add
# `-s`, or make itself names the directory on stdout.

PYTHON ?= python3
WORKERS ?= 3
ARGS ?=

SHELL := /bin/sh
BIN := .venv/bin
STAMPS := .venv/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Wheels are unpacked; a source archive would run its own script on this machine. `make ONLY=` builds where there is none.
ONLY ?= --only-binary :all:
ALONE := $(BIN)/python -m pytest -m 'alone and not slow'
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile
CHECKED := src tests $(wildcard bench examples)

export PYTHONUTF8 := 1

.DEFAULT_GOAL := setup
.PHONY: help setup demo test test-all lint format bench shots docs requirements sbom audit clean

setup: $(STAMPS)/dev ## Install everything into .venv
	@echo 'Ready: try `make demo`, `make test` or `make help`.' >&2

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

# --- what there is to do ---------------------------------------------------------------------------------------

demo: $(STAMPS)/project ## Run the demo; ARGS="--once --json" goes to `emw demo`
	@$(BIN)/emw demo $(ARGS)

test: lint ## Check everything that is quick; ARGS goes to pytest
	$(ALONE) $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) -m 'not slow and not alone' $(ARGS)

# The slow tests are hours of simulation: too long beside the quick ones for every change. Before a release, `make test-all`.
test-all: lint ## Check everything, the slow tests too
	$(ALONE) $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) -m 'not alone' $(ARGS)

lint: $(STAMPS)/dev ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports --no-logo

format: $(STAMPS)/dev ## Put the code into form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

BENCHES ?= heartbeats vtn facts decrease memory startup ocpp round console

bench: $(STAMPS)/dev ## Measure the hot paths; BENCHES="facts memory" picks
	@for bench in $(BENCHES); do $(BIN)/python -m bench.$$bench || exit 1; done

shots: $(STAMPS)/dev ## Pictures of the console for the documentation, into build/shots
	$(BIN)/python -m tests.browser.shots build/shots

docs: $(STAMPS)/dev ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

# --- set-up ----------------------------------------------------------------------------------------------------

$(STAMPS)/venv:
	@command -v $(PYTHON) >/dev/null || \
	  { echo 'emw needs Python 3.11 or later, and there is no $(PYTHON): make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "emw needs Python 3.11 or later, but $(PYTHON) is $$($(PYTHON) -V 2>&1): make PYTHON=python3.11" >&2; exit 1; }
	@echo 'Making .venv ...' >&2
	@$(PYTHON) -m venv .venv >&2
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/base: $(STAMPS)/venv requirements/build.txt requirements/base.txt
	@echo 'Installing what emw runs on (once) ...' >&2
	@$(PIP) install --require-hashes $(ONLY) -r requirements/build.txt -r requirements/base.txt >&2
	@touch $@

$(STAMPS)/project: $(STAMPS)/base pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation -e . >&2
	@touch $@

$(STAMPS)/dev: $(STAMPS)/project requirements/dev.txt
	@echo 'Installing what the checks need (once) ...' >&2
	@$(PIP) install --require-hashes $(ONLY) -r requirements/dev.txt >&2
	@touch $@

# --- upkeep ----------------------------------------------------------------------------------------------------

# Pins again after a change to pyproject.toml or requirements/*.in; `make requirements ARGS=--upgrade` takes the
# newest of everything. uv is used for this alone, because it pins for every platform and Python version at once.
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make requirements' .venv/uv/bin/uv pip compile --quiet --universal \
  --python-version 3.11 --generate-hashes --no-emit-index-url $(ARGS)

requirements: $(STAMPS)/uv ## Pin the requirements again; ARGS=--upgrade takes the newest
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) pyproject.toml -o requirements/base.txt
	$(COMPILE) requirements/dev.in -o requirements/dev.txt

$(STAMPS)/uv: $(STAMPS)/venv
	@$(PYTHON) -m venv .venv/uv >&2
	@.venv/uv/bin/python -m pip --disable-pip-version-check --quiet install uv >&2
	@touch $@

sbom: $(STAMPS)/dev ## Write what a release is made of to dist/emw.cdx.json (CycloneDX)
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements/base.txt --pyproject pyproject.toml --output-reproducible \
	  --of JSON -o dist/emw.cdx.json

audit: $(STAMPS)/dev ## Ask for known weaknesses of what is pinned; needs a network
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements/base.txt $(ARGS)

clean: ## Remove what was installed and made
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
