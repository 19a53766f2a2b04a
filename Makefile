# Two commands do all the set-up: `make demo` and `make test`. Needs Python 3.11+, and a network to the package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# the tests that run native code; `make test` runs them held to lesser processors too, which tests/native.py prints
NATIVE := tests/compiler tests/runtime tests/training/test_fused.py

# the tests start Python some hundred times, each of which would compile the package and its tests anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all check docs bench mutants

demo: $(READY)
	$(BIN)/mobilenets demo

test: $(READY)
	$(BIN)/python -m pytest
	set -e; levels=$$($(BIN)/python tests/native.py); for level in $$levels; do $(BIN)/python -m pytest --processor $$level $(NATIVE); done

test-all: $(READY)
	$(BIN)/python -m pytest -m ""

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python scripts/make_recipe_docs.py

bench: $(READY)
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/startup.py

mutants: $(BIN)/cosmic-ray  # make mutants ARGS="--count 50 --seed 2"; see docs/testing.md
	$(BIN)/python scripts/mutants.py $(ARGS)

$(BIN)/cosmic-ray: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[mutants]'
	touch $@

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mobilenets needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[dev]'
	touch $@
