# Two commands need no preparation: `make demo` and `make test`. Each makes .venv and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
BALANCE := ../$(BIN)/balance

.PHONY: setup demo demo-bad test test-all lint bench torture clean

setup: .venv/done

.venv/done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Radiographs of nobody, whose rare class is consolidation; no two splits share a patient.
define DRAWN
	$(BIN)/python -m examples.phantoms $(1)/train --seed 1 --images 1 \
		normal=80 pleural_effusion=60 cardiomegaly=60 nodule=50 consolidation=5
	$(BIN)/python -m examples.phantoms $(1)/val --seed 1 --images 1 --first 1000 \
		normal=30 pleural_effusion=20 cardiomegaly=20 nodule=20 consolidation=20
	$(BIN)/python -m examples.phantoms $(1)/test --seed 1 --images 1 --first 2000 \
		normal=120 pleural_effusion=80 cardiomegaly=80 nodule=80 consolidation=120
endef

demo: setup
	@mkdir -p demo
	$(call DRAWN,demo/xrays)
	cd demo && $(BALANCE) scan xrays --patient '(p\d+)'
	cd demo && $(BALANCE) fill --target consolidation=60 --model ../examples/pocket --guidance 1.5
	cd demo && $(BALANCE) verify xrays-balanced
	cd demo && $(BALANCE) compare --quick --size 24
	cd demo && $(BALANCE) report
	@echo 'Look at demo/.balance/reports/report.html: the verdict, and real beside synthetic, class by class.'
	@echo 'To see the other answer: make demo-bad'

# The other answer: a generator that draws healthy lungs whatever it is asked for, and no screening.
demo-bad: setup
	@mkdir -p demo-bad/generated
	$(call DRAWN,demo-bad/xrays)
	$(BIN)/python -m examples.phantoms demo-bad/healthy normal=50 --seed 2 --images 1
	rm -rf demo-bad/generated/consolidation && mv demo-bad/healthy/normal demo-bad/generated/consolidation
	cd demo-bad && $(BALANCE) scan xrays --patient '(p\d+)'
	cd demo-bad && $(BALANCE) merge --from generated --no-screen
	cd demo-bad && $(BALANCE) compare --quick --size 24 --arm synthetic-all
	cd demo-bad && $(BALANCE) report

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
	$(BIN)/python -m tests.torture.kills 5 adapt-200
	$(BIN)/python -m tests.torture.kills --signals 50
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

clean:
	rm -rf .venv demo demo-bad .mypy_cache .ruff_cache .pytest_cache
