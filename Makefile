# Every target sets up what it needs first. `make help` lists them.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Half of a test's time is waiting for servers: more workers than cores.
WORKERS ?= 4
# More for the benchmark: make bench BENCH="--size 1000 --shape chat"
BENCH ?=

.PHONY: help setup demo test lint check bench screenshot docs reference texts clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup: $(STAMP)  ## a .venv with everything

$(STAMP): pyproject.toml tools/setup.sh
	@sh tools/setup.sh $(VENV)
	@touch $@

demo: setup  ## see it all on a throw-away server
	@$(BIN)/pgvow demo

# A package that is missing is installed or named, and the tests that need it are skipped.
test: setup  ## the tests, on real PostgreSQL 15 to 18
	@sh tools/system_packages.sh || [ "$$CI" != true ]
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/house.py

check: lint test  ## what CI runs: format, lint, types, layers, tests

bench: setup  ## the engines against pg_dump and the floor
	@$(BIN)/python -m bench.engines $(BENCH)

screenshot: setup  ## docs/demo.svg and docs/first-minute.cast, from commands as they run
	@$(BIN)/python -m tools.screenshot

# Both views of the documents are whole: a link or an anchor that leads nowhere ends this.
docs: setup  ## the documents as a site, in docs/_build/html
	@$(BIN)/sphinx-build -W -n -E --keep-going -q -c docs . docs/_build/html

reference: setup  ## the reference's pages, completion scripts, the manual's page, from the code
	@$(BIN)/python tools/configuration_reference.py
	@$(BIN)/python tools/commands_reference.py
	@$(BIN)/python tools/python_reference.py
	@$(BIN)/python tools/shell_files.py

texts: setup  ## tests/golden/texts, the reports as they are now: read the diff
	@$(BIN)/python -m tests.cli.test_texts_stay

clean:  ## remove everything that setup and tests made
	rm -rf $(VENV) docs/_build .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
