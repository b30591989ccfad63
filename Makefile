# Needs Python 3.11 to 3.13 and nothing else: every target makes the virtual environment it runs in.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tests wait for the disk as long as they compute: twice the cores of a small machine.
JOBS ?= 4

.PHONY: demo test lint unit bench clean

demo: $(VENV)/.installed ## stamp, anchor, verify, and catch one changed byte
	MEDANCHOR=$(abspath $(BIN)/medanchor) sh examples/demo.sh

test: lint unit ## everything that CI runs

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each chain that is opened takes 32 MB: an allocator that keeps them need not ask for zeroed pages thousands of times.
unit: export MALLOC_MMAP_THRESHOLD_ := 67108864
unit: export MALLOC_TRIM_THRESHOLD_ := 268435456
# No test may need a network, so there is none but loopback; to take it away one has to be root.
unit: $(VENV)/.installed-dev
	$(BIN)/coverage erase
	alone=; if unshare -n true; then alone="unshare -n"; else echo "the tests run with this machine's network"; fi; \
	$$alone $(BIN)/python tests/loopback_only.py -n $(JOBS) --dist worksteal --cov --cov-report=
	$(BIN)/coverage report --include='medanchor/core/*' --fail-under=100
	$(BIN)/coverage report --fail-under=95

bench: $(VENV)/.installed-dev ## measure; docs in benchmarks/README.md
	$(BIN)/pip install -q --group bench
	$(BIN)/pip install -q --no-deps merkletools
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "medanchor needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install -q -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install -q --group dev
	touch $@

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
