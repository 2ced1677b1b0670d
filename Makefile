# Every target sets up what it needs in .venv and is safe to repeat.
PYTHON ?= python3
VENV   := .venv
PYTEST_ARGS ?=
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test test-all check fix notebooks

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.python:
	@echo "== creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14)))' \
	  || { echo "TagPR needs Python 3.11 to 3.13; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# torch goes first and alone, from the constraints: resolved later, another package could pull a CUDA build of several gigabytes.
$(VENV)/.torch: $(VENV)/.python constraints.txt
	@echo "== installing torch"
	@$(PIP) install --quiet -c constraints.txt "$$(grep -m1 '^torch==' constraints.txt)"
	@touch $@

$(VENV)/.setup: $(VENV)/.torch pyproject.toml
	@echo "== installing tagpr and what it needs"
	@$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.setup-dev: $(VENV)/.torch pyproject.toml
	@echo "== installing tagpr with its development and benchmark tools"
	@$(PIP) install --quiet -c constraints.txt -e '.[dev,bench]'
	@touch $@ $(VENV)/.setup

setup: $(VENV)/.setup ## environment for using tagpr
setup-dev: $(VENV)/.setup-dev ## environment for changing tagpr (tests, lint, types, benchmarks)

demo: setup ## the whole method on a laptop: no network, no GPU, a table at the end
	@echo "== tagpr experiment=demo"
	@$(BIN)/tagpr experiment=demo

test: setup-dev ## the tests that run anywhere (no GPU, no browser)
	@echo "== pytest"
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-all: setup-dev ## also the slow tests and those that drive a browser
	@$(BIN)/python -m pytest -m 'not gpu and not network' $(PYTEST_ARGS)

check: setup-dev ## format, lint, types, tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright && $(BIN)/python -m pytest $(PYTEST_ARGS)

fix: setup-dev ## format, and mend what the linter can mend
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

notebooks: setup-dev ## run every notebook from top to bottom on the newest demo run
	@$(BIN)/python notebooks/run_all.py
