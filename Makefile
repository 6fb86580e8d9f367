PYTHON ?= python3
VENV := .venv
# Windows calls the folder otherwise.
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# Processes that run tests; a file of tests stays in one of them, so that it makes its things once.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# Tests start bovw many times, which without kept bytecode is compiled every time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo check quick test coverage lint release clean

demo: $(VENV)/runtime
	$(BIN)/bovw demo

# What answers within a minute: linters and types beside the tests that are quick.
check: $(VENV)/development
	$(MAKE) --jobs 2 --output-sync lint quick

quick: $(VENV)/development
	$(PYTEST) -m "not slow and not browser and not cluster"

test: $(VENV)/clusters
	$(PYTEST)

# Which lines of the package the tests run, in a table.
coverage: $(VENV)/clusters
	$(PYTEST) --cov=bovw --cov-report=term

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The checklist of a release, up to the upload.
release: $(VENV)/clusters
	bash .ci/release

# A file stands for each set-up, so that it is done again when what it depends on changes: what bovw
# needs to run, what its development needs, and the clusters that some tests start.
$(VENV)/runtime: setup.cfg pyproject.toml bovw/__init__.py
	$(PYTHON) -c 'import sys; sys.exit("bovw needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@echo compiling kernels, once: about half a minute
	$(BIN)/python -c 'import bovw.search'
	touch $@

$(VENV)/development: $(VENV)/runtime
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/clusters: $(VENV)/development
	$(BIN)/python -m pip install --quiet --editable '.[cluster,dask]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info bovw-demo
