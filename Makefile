PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DELETE_ON_ERROR:
.PHONY: help quickstart test lint clean

help:
	@echo "make quickstart  install, then run export/quickstart.yaml (about 10 minutes on 2 cores)"
	@echo "make test        install, then lint and test (about 8 minutes on 2 cores)"
	@echo "make lint        ruff, mypy and import-linter alone"

# torch comes first and from its own line: a looser requirement would bring several GB of CUDA packages.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[host,ort,litert,report,dev]"
	touch $(STAMP)

quickstart: $(STAMP)
	$(BIN)/edgedistil run export/quickstart.yaml

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/lint-imports

# Several test processes share the cores: threads that wait for one another would slow all of them.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile -m "not alone"
	$(BIN)/pytest -m alone

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
