# Two commands need no preparation: `make demo` and `make test`. Each makes .venv and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo demo-bad test test-all lint bench torture docs clean

setup: .venv/done

.venv/done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# A project on drawn radiographs, from the scan to the report; demo-bad shows the other answer.
demo: setup
	$(BIN)/balance demo

demo-bad: setup
	$(BIN)/balance demo --bad

test: setup
	$(BIN)/python -m pytest --numprocesses auto

# What is marked slow, too: attacks, hostile corpora, strace, every page in a browser.
test-all: setup
	$(BIN)/python -m pytest --numprocesses auto -m ''

KILLS ?= 3000
torture: setup
	$(BIN)/python -m tests.torture.kills $(KILLS) scan scan-deep split fill fill-more merge unmerge compare
	$(BIN)/python -m tests.torture.kills 200 fill-pocket
	$(BIN)/python -m tests.torture.kills 50 adapt-scratch adapt-base
	$(BIN)/python -m tests.torture.kills 5 adapt-200 adapt-two
	$(BIN)/python -m tests.torture.kills --signals 50
	$(BIN)/python -m tests.torture.engine_kills 40 10
	$(BIN)/python -m tests.torture.failing 1
	$(BIN)/python -m tests.torture.damaged 200
	$(BIN)/python -m tests.torture.damaged --found 20000
	$(BIN)/python -m tests.torture.disks
	$(BIN)/python -m tests.torture.collection_untouched
	$(BIN)/python -m tests.torture.fault_messages
	$(BIN)/python -m tests.hostile.torture

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m tests.benchmarks.overview

# The documentation as a site in site/: made of docs/ and of the code, without a network once mkdocs is installed.
docs: setup
	@$(BIN)/python -c 'import mkdocs' 2>/dev/null || $(BIN)/pip install --quiet --constraint constraints.txt '.[docs]'
	$(BIN)/python docs/site.py

clean:
	rm -rf .venv site demo demo-bad .mypy_cache .ruff_cache .pytest_cache
