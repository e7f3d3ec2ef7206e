# Pennant: `make demo` shows it, `make test` proves it. Everything else is optional.
.DEFAULT_GOAL := help
.PHONY: help setup lock lint test demo up down clean

ONCE ?=
USE_CASE ?= league_demo
STEP ?=
TESTS ?=
UPGRADE ?=

# All extras but neural: PyTorch for Linux brings 3 GB of CUDA along.
LOCKED := ml cluster s3 embedded dev

PYTHON := .venv/bin/python
demo_options := --use-case $(USE_CASE) $(if $(ONCE),--once) $(if $(STEP),--step $(STEP))

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo "  make demo ONCE=1 ends by itself; USE_CASE=nfl_games plays real games; STEP=week in smaller steps"

setup: ## Make .venv from the lock; instant when it is there
	@./.ci/setup

lock: setup ## Resolve pyproject.toml anew into requirements.lock; UPGRADE=1 for newer releases
	@UV="$$(command -v uv || echo .venv-uv/bin/uv)" && "$$UV" pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --python-version "$$(cat .python-version)" $(LOCKED:%=--extra %) \
	  --no-emit-package pennant-serving $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.lock
	@echo "requirements.lock is new: run make test"

lint: setup ## ruff and mypy (strict)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check --quiet .
	@$(PYTHON) -m mypy

test: lint ## Lint and all tests; TESTS=tests/gate for some
	@$(PYTHON) -m pytest $(TESTS)

demo: setup ## The life of a use case, through a real Airflow on this machine
	@exec .venv/bin/pennant demo $(demo_options)

up: setup ## Start PostgreSQL, Airflow, MLflow and serving, and stay
	@exec .venv/bin/pennant up

down: setup ## Stop what `make up` or `make demo` left running elsewhere
	@.venv/bin/pennant down

clean: ## Remove var, the environment and caches (never a running stack's)
	@if .venv/bin/pennant status >/dev/null 2>&1; then \
	  echo "make clean: a stack runs from ./var; stop it first: make down" >&2; exit 1; fi
	rm -rf var .venv .venv-uv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
