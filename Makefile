# Everything runs in .venv, which the first target that needs it creates from the hashed lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-slow check bench bands families lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       the main job, small but real: skills, meta-training, evaluation, a report"
	@echo "make test       the test suite, some minutes"
	@echo "make test-slow  what takes longer"
	@echo "make check      ruff and mypy"
	@echo "make bench      steps per second on this machine"
	@echo "make bands      ten small trainings: returns, speed and memory as they were"
	@echo "make families   reference lines and speed of every family, half an hour"
	@echo "make lock       requirements.lock from pyproject.toml; needs uv"
	@echo "make clean      remove .venv and caches"

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))' \
	  || { echo "hmrl needs Python 3.11, 3.12 or 3.13, found $$($(PYTHON) --version); try make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/installed
	@$(BIN)/hmrl demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow --timeout=3600

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed
	$(BIN)/python experiments/bench/throughput.py

bands: $(VENV)/installed
	$(BIN)/python experiments/bench/bands.py

# Measures every family anew, half an hour on two cores, and writes the table of the guide.
FAMILIES := experiments/bench/families.json
families: $(VENV)/installed
	$(BIN)/python experiments/bench/families.py -o $(FAMILIES)
	$(BIN)/python experiments/bench/families.py --table $(FAMILIES) hmrl_cli/guide/families.md

# Needs uv on the PATH. The same versions for every supported Python, hashes, no registry address.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --fork-strategy fewest --no-emit-index-url --no-header --no-annotate -o requirements.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
