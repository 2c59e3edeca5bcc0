# The commands of this project. `make` alone lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo test e2e-emulator properties faults check bench deploy dead-letters verify package lock clean

# The video that `make demo` converts. If it is not there, the name means the clip that comes with the project.
VIDEO ?= bigbuckbunny.mp4
export VIDEO

# More arguments for pytest: make test ARGS="-k gateway"
ARGS ?=

PYTHON_HERE := .venv/bin/python

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## Install what `make run` and `make demo` need
	@infra/local/setup.sh run

setup-dev:
	@infra/local/setup.sh dev

demo: setup ## Convert one video through the whole stack: make demo VIDEO=path
	@exec $(PYTHON_HERE) -m infra.local demo --with-parent -- "$$VIDEO"

run: setup ## Run the whole stack in the foreground, until Ctrl-C
	@exec $(PYTHON_HERE) -m infra.local run --with-parent

test: setup-dev ## Run all tests, in two processes
	@$(PYTHON_HERE) -m pytest -n 2 --dist loadgroup --no-loadscope-reorder $(ARGS)

e2e-emulator: setup-dev ## Deploy everything to an AWS without Docker on this machine, and run the API tests there
	@$(PYTHON_HERE) -m pytest tests/api tests/emulator -m emulator $(ARGS)

properties: setup-dev ## Convert all combinations of containers, codecs, starts, gaps, cuts and damage, and all mutants
	@ALL_COMBINATIONS=1 $(PYTHON_HERE) -m pytest -n 2 --dist loadgroup tests/contract/test_whole_sound.py \
		tests/contract/test_mutants.py tests/contract/test_real_inputs.py $(ARGS)

faults: setup-dev ## Do to the service what may happen to it, then ten minutes of anything at random, and print what was seen
	@SOAK_S=$${SOAK_S:-600} $(PYTHON_HERE) -m pytest tests/faults $(ARGS)

check: setup-dev ## Check style, types, imports, template.yaml and the page's sources
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/cfn-lint template.yaml
	@.venv/bin/python -m infra.package.transform template.yaml
	@.venv/bin/python -m infra.web check

bench: setup-dev ## Measure conversions, uploads and downloads beside plain tools
	@$(PYTHON_HERE) -m benchmarks

dead-letters: setup ## List messages that were given up, of the stack that runs: make dead-letters ARGS="replay QUEUE --all"
	@exec $(PYTHON_HERE) -m infra.local exec $(PYTHON_HERE) -m infra.rabbitmq dead-letters $(ARGS)

verify: setup ## Read all stored videos and MP3s of the stack that runs against their digests
	@exec $(PYTHON_HERE) -m infra.local exec $(PYTHON_HERE) -m infra.verify

package: setup ## Pack functions for Lambda, all or one: make package FUNCTION=convert RUNTIME=python3.13 OUTPUT=build
	@exec $(PYTHON_HERE) -m infra.package $(FUNCTION) $(if $(RUNTIME),--runtime "$(RUNTIME)") $(if $(OUTPUT),--output "$(OUTPUT)")

deploy: setup ## Deploy to AWS or to AWS_ENDPOINT_URL, all or one function's code: make deploy STAGE=x [FUNCTION=y]
	@exec $(PYTHON_HERE) -m infra.package.deploy "$(STAGE)" "$(FUNCTION)" $(ARGS)

lock: ## Pin in requirements/ what pyproject.toml asks for; with UPGRADE=yes choose the newest versions
	@infra/local/lock.sh $(if $(filter yes,$(UPGRADE)),--upgrade)

clean: ## Delete the environment, build results and caches. Data in .local stays
	@rm -rf .venv build functions/page/site web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
