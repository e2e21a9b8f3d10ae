# Everything runs in .venv, which the targets make and fill by themselves. `make help` lists them.

PYTHON  ?= python3
VENV    ?= .venv
# More arguments for pytest or the benchmark, say: make test ARGS="-k parser -x"
ARGS    ?=
# pytest-xdist workers
WORKERS ?= 2

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet -c constraints.txt

# Stamps: an install is repeated only when pyproject.toml or constraints.txt changed.
STAMP_VENV := $(VENV)/.stamp-venv
STAMP_CORE := $(VENV)/.stamp-core
STAMP_DEV  := $(VENV)/.stamp-dev
STAMP_MUT  := $(VENV)/.stamp-mutation

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format golden bench bench-gpu aot coverage mutation dist venv dev clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP_CORE) ## compile the GoogLeNet spec (needs no torch)
	$(BIN)/netdsl compile specs/googlenet.net

# One thread for each worker: two workers with a thread pool each would fight over two cores.
test: $(STAMP_DEV) ## run the whole test suite
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: $(STAMP_DEV) ## ruff check, ruff format --check, mypy, netdsl fmt --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/netdsl fmt --check specs netdsl/prelude

format: $(STAMP_DEV) ## let ruff fix and format the code, and netdsl the networks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/netdsl fmt specs netdsl/prelude

golden: $(STAMP_DEV) ## rewrite the golden files from what the compiler emits now
	$(BIN)/python -m pytest --update-golden $(ARGS)

bench: $(STAMP_DEV) ## check the speed of the compiler and of what it emits
	$(BIN)/python benchmarks/check_speed.py $(ARGS)

bench-gpu: $(STAMP_DEV) ## on a machine with a GPU: test the kernels, and measure inference into gpu-results/
	PYTHON=$(abspath $(BIN))/python benchmarks/on_gpu.sh gpu-results $(ARGS)

aot: $(STAMP_DEV) ## compile every kernel ahead of time for every architecture, in every form (hours; needs no GPU)
	env -u TRITON_INTERPRET PYTHONPATH=backends $(BIN)/python -m netdsl_triton.aot --full $(ARGS)

coverage: $(STAMP_DEV) ## run the test suite and report what it does not reach
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term $(ARGS)

mutation: $(STAMP_MUT) ## change the checker in a thousand small ways, and see which the tests notice
	$(BIN)/python tests/mutation.py $(or $(ARGS),--sample 1000)

dist: $(STAMP_DEV) ## build the sdist, and the wheel from it, into dist/
	$(BIN)/python -m build --no-isolation --outdir dist

venv: $(STAMP_CORE) ## make .venv with netdsl alone
dev: $(STAMP_DEV) ## make .venv with all that development needs

clean: ## remove what was built and cached, but not .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov .mutation.json
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)

$(STAMP_VENV):
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "netdsl needs Python 3.11 or newer (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(STAMP_CORE): $(STAMP_VENV) pyproject.toml constraints.txt
	$(INSTALL) -e .
	@touch $@

# It holds the core too, so a later `make demo` has nothing to install.
$(STAMP_DEV): $(STAMP_VENV) pyproject.toml constraints.txt
	$(INSTALL) -e '.[dev]'
	@touch $(STAMP_CORE) $@

$(STAMP_MUT): $(STAMP_DEV)
	$(INSTALL) -e '.[mutation]'
	@touch $@
