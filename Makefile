# The commands of this project. `make` alone lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo test check bench lock clean

# The video that `make demo` converts. If it is not there, the name means the clip that comes with the project.
VIDEO ?= bigbuckbunny.mp4
export VIDEO

# More arguments for pytest: make test ARGS="-k gateway"
ARGS ?=

PYTHON_HERE := .venv/bin/python

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## Install what `make run` and `make demo` need
	@infra/local/setup.sh run

setup-dev:
	@infra/local/setup.sh dev

demo: setup ## Convert one video through the whole stack: make demo VIDEO=path
	@exec $(PYTHON_HERE) -m infra.local demo --with-parent -- "$$VIDEO"

run: setup ## Run the whole stack in the foreground, until Ctrl-C
	@exec $(PYTHON_HERE) -m infra.local run --with-parent

test: setup-dev ## Run all tests
	@$(PYTHON_HERE) -m pytest $(ARGS)

check: setup-dev ## Check style, types, imports and template.yaml
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/cfn-lint template.yaml

bench: setup-dev ## Measure conversions beside plain ffmpeg
	@$(PYTHON_HERE) -m benchmarks

lock: ## Choose the newest versions of all dependencies, and write them down in requirements/
	@infra/local/lock.sh

clean: ## Delete the environment, build results and caches. Data in .local stays
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
