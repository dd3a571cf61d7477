# Everything runs in .venv, made from the pinned and hashed requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= ../shared/data/stackexchange_history_meta

.PHONY: help demo real test extras lint ui clean lock

help: ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 8

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"opsanalytics needs Python 3.11 to 3.13, and {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.11")'
	@echo "Creating $(VENV) (about two minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Run the whole pipeline on a generated product, say where to look
	$(BIN)/opsanalytics demo --home data/demo

real: $(STAMP) ## The same for a real product's export: make real DATA=folder
	$(BIN)/opsanalytics demo --data $(DATA) --home data/$(notdir $(patsubst %/,%,$(DATA)))

ui: $(STAMP) ## Dagster on localhost: the demo's, or yours with make ui CONFIG=opsanalytics.toml
	$(BIN)/opsanalytics $(if $(CONFIG),ui --config $(CONFIG),demo --ui --home data/demo)

test: $(STAMP) ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

extras: $(STAMP) ## Add what only some tests and benchmarks need: Spark, embedded ClickHouse, sentence embeddings (700 MB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-extras.lock

lint: $(STAMP) ## Check style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(STAMP) ## Pin the dependencies anew
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra static-images --universal \
	  --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet -o requirements.lock
	$(BIN)/python -c 'import tomllib; known = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*known["embeddings"], *known["spark"], *known["rivals"], sep="\n")' \
	  | $(BIN)/uv pip compile - --universal --constraint requirements.lock --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --quiet -o requirements-extras.lock

clean: ## Remove the environment, caches and everything that a run made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find data -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
