# sweep-tui. `make run` and `make test` set up .venv by themselves: they need make, Python >= 3.11 with
# venv, and a package index that pip reaches. To choose the Python: make test PYTHON=/path/to/python3.12

VENV := .venv
BIN := $(VENV)/bin
VERSION := 26.9.6
PYTHONS := $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check bench format screenshots pictures clean \
    cluster-up cluster-down test-cluster test-cluster-all bench-cluster

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 25

# The example of Backend.AI's manual, word for word after its first word. Without a terminal on stdin
# it runs in the foreground, with its lines here.
run: $(VENV)/.installed ## set up, then run four cases at once and show what they print
	$(BIN)/sweep-tui run -c 'import os; print("Hello world, {}".format(os.environ["CASENO"]))' \
	    -r cpu=1 -r mem=256m \
	    -e 'CASENO=$$X' \
	    --env-range=X=case:1,2,3,4 \
	    lablup/python:3.6-ubuntu18.04

test: $(VENV)/.installed-dev ## set up, then run the tests (some of them: make test ARGS='tests/core -x')
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.installed-dev ## lint, format, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict tui_sweep
	$(BIN)/python -m pytest -q tests/test_layers.py

format: $(VENV)/.installed-dev ## lay out the code as `make check` wants it
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## speed and size, each beside its peer: a JSON line each
	@command -v parallel >/dev/null || { echo 'make: install parallel: GNU parallel is the peer (Debian, Ubuntu: apt install parallel)' >&2; exit 1; }
	@command -v xargs >/dev/null || { echo 'make: install findutils: xargs is the peer (Debian, Ubuntu: apt install findutils)' >&2; exit 1; }
	@BENCH_FOLDER=$$($(BIN)/python tests/benchmarks/measure.py) || exit 1; export BENCH_FOLDER; status=0; \
	  trap 'rm -rf "$$BENCH_FOLDER"' EXIT; \
	  for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || status=1; done; exit $$status

cluster-up: $(VENV)/.installed-dev ## start a real Backend.AI on loopback, as root (VERSION=26.9.6, 25.5.2 or 23.9.10)
	$(BIN)/python -m tests.cluster up $(VERSION)

cluster-down: $(VENV)/.installed-dev ## stop it, and keep its folder (remove that too: ARGS=--wipe)
	$(BIN)/python -m tests.cluster down $(VERSION) $(ARGS)

test-cluster: $(VENV)/.installed-dev ## the tests on the real Backend.AI of VERSION; stops it again unless it was up
	$(BIN)/python -m tests.cluster test $(VERSION) -- $(ARGS)

test-cluster-all: $(VENV)/.installed-dev ## the same on each of the three, one after the other
	$(BIN)/python -m tests.cluster down all
	@status=0; for version in 26.9.6 25.5.2 23.9.10; do \
	  $(MAKE) test-cluster VERSION=$$version || status=1; \
	done; exit $$status

bench-cluster: $(VENV)/.installed-dev ## beside the official client on a real cluster: the table of the README, in 20 minutes
	$(BIN)/python -m tests.cluster.side_by_side

screenshots: $(VENV)/.installed-dev ## pictures of a real run of the demo, into screenshots/
	$(BIN)/python -m tests.screenshots

pictures: $(VENV)/.installed-dev ## make the expected pictures of the tests anew; look at them before you commit
	$(BIN)/python -m pytest -q tests/ui --snapshot-update

clean: ## remove the environment and everything that can be made again
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find tui_sweep tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything is installed editable: only a changed pyproject.toml needs another install.
$(VENV)/.installed: pyproject.toml
	$(call install,.)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml
	$(call install,.[dev])
	@touch $(VENV)/.installed $@

define install
$(if $(usable),,$(call create,$(choice)))
@echo 'installing $(1) into $(VENV)'
@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)'
endef
create = @echo 'setting up $(VENV) with $(call chosen,$(1))' && $(call chosen,$(1)) -m venv --clear $(VENV)
chosen = $(if $(filter use,$(firstword $(1))),$(word 2,$(1)),$(error $(1)))

usable = $(shell $(BIN)/python -c 'import sys, pip; print("yes" if sys.version_info >= (3, 11) else "")' 2>/dev/null)
# `use PYTHON`, or one line that says what to install. Each is asked and not only looked for: a name on
# the PATH may be a launcher of nothing, and Debian's Python has venv without ensurepip until
# python3-venv is installed.
choice = $(shell for p in $(PYTHONS); do \
    "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
    "$$p" -c 'import ensurepip, venv' 2>/dev/null && echo "use $$p" && exit; \
    bare=$${bare:-$$p}; \
  done; \
  if [ "$$bare" ]; then echo "install $${bare##*/}-venv: $$bare cannot make a virtual environment (Debian, Ubuntu: apt install $${bare##*/}-venv)"; \
  else echo "install python3 and python3-venv: no Python >= 3.11 among $(PYTHONS) (Debian, Ubuntu: apt install python3 python3-venv; another one: make PYTHON=/path/to/python)"; fi)
