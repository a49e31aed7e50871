# claimpt_tf: `make demo` shows it, `make test` proves it. Set-up is in BUILD.md.

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint clean distclean

# Where `make demo` writes, and what to add to pytest's command line.
OUT ?= runs/demo
PYTEST_ARGS ?=

PYTHON := .venv/bin/python
CODE := claimpt_tf components pipeline tests benchmarks setup.py

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

venv: ## set up .venv for this host (also: scripts/setup_env.sh --choose)
	@bash scripts/setup_env.sh

demo: venv ## simulate, train, serve and predict once, in OUT=runs/demo
	.venv/bin/claimpt demo $(OUT)

test: venv ## run the fast tests, then the slow ones
	@bash scripts/run_tests.sh $(PYTEST_ARGS)

lint: venv ## ruff and mypy
	$(PYTHON) -m ruff check $(CODE)
	$(PYTHON) -m ruff format --check $(CODE)
	$(PYTHON) -m mypy

clean: ## remove caches and build outputs
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove what `make venv` made too
	rm -rf .venv .uv
