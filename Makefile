PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints/airflow-3.3-python-3.11.txt
export HF_HUB_OFFLINE ?= 1

.PHONY: help setup test lint bench bench-dedupe bench-label drills demo docs clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.demo: pyproject.toml $(CONSTRAINTS)
	@echo 'Installing into $(VENV): about 2.5 GB, some minutes'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[demo]'
	@touch $@

$(VENV)/.setup: pyproject.toml $(CONSTRAINTS)
	@echo 'Installing into $(VENV): about 2.5 GB, some minutes'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[all,test,bench]'
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.setup  ## Create .venv with everything that tests and benchmarks need

test: setup  ## Unit, integration and end-to-end tests, with the coverage floor
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --cov --cov-report=term:skip-covered

lint: setup  ## Style, types, import contracts and the generated reference
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m airflow_provider_autoglm.settings.reference --check

bench: setup  ## Ratios against peers, measured in one run
	$(BIN)/python -m benchmarks

bench-dedupe: setup  ## De-duplication against its peers, on Debian's documentation (SIZE=10k|100k|1m OUTPUT=FILE.json)
	$(BIN)/python -m benchmarks.dedupe --size $(or $(SIZE),10k)$(if $(OUTPUT), --output $(OUTPUT))

bench-label: setup  ## Labelling against transformers' pipeline, and the memory of the stage (OUTPUT=FILE.json)
	$(BIN)/python -m benchmarks.label --memory$(if $(OUTPUT), --output $(OUTPUT))

drills: setup  ## Kills, outages and load under a real Airflow, by subject (SUBJECT=canary, loop, compose, crawl)
	$(BIN)/python -m pytest --timeout=3600 drills$(if $(SUBJECT),/test_$(SUBJECT).py)

demo: $(VENV)/.demo  ## From a site to a champion that answers, back from a broken model, and round again when the traffic drifts, under a real Airflow (SITE=https://… CONTACT=you@… EXIT=1)
	@SITE='$(SITE)' CONTACT='$(CONTACT)' EXIT='$(EXIT)' exec $(BIN)/python -m demo --with-parent

docs: setup  ## Write the generated reference
	$(BIN)/python -m airflow_provider_autoglm.settings.reference

clean:  ## Remove the environment and everything the demo wrote
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
