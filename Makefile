PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that run tests; a file of tests stays in one of them, so that it makes its things once.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: demo check test coverage lint clean

demo: $(VENV)/installed
	$(BIN)/bovw demo

# What answers within a minute: linters, types, and the tests that are quick.
check: lint
	$(PYTEST) -m "not slow and not browser and not cluster"

test: $(VENV)/installed
	$(PYTEST)

# Which lines of the package the tests run, in a table.
coverage: $(VENV)/installed
	$(PYTEST) --cov=bovw --cov-report=term

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One file stands for the whole set-up, so that it is done again when what it depends on changes.
# Kernels are compiled once here, so that the first test does not wait for it.
$(VENV)/installed: setup.cfg pyproject.toml bovw/__init__.py
	$(PYTHON) -c 'import sys; sys.exit("bovw needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -c 'import bovw.ranking.kernels, bovw.search, bovw.verification, bovw.vocab'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info bovw-demo
