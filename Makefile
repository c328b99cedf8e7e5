# make demo   set up, then train two small models, watched, and write runs/demo/report.html
# make test   set up, then format, lint, types, import contracts and all tests
# make fast   the unit tests that take no time, in a minute, as often as you like
# make lowest the unit tests with the lowest version of each library that pyproject.toml allows (downloads gigabytes)
PYTHON ?= python3
BIN := .venv/bin

# Real data sets, where they lie beside the checkout; else the user's cache folder and the embedded worlds.
ifneq ($(wildcard ../shared/data),)
export ONTOGENY_DATA ?= $(abspath ../shared/data)
endif
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_OFFLINE ?= 1
# Compiled modules are kept: a process that compiles torch and transformers anew takes three times as long to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fast slow.txt long lint bench lowest constraints-lowest clean

demo: .venv/.ready
	OMP_NUM_THREADS=2 $(BIN)/ontogeny demo --out runs/demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Named in tests/slow.txt: unit tests of .06 s and more.
fast: .venv/.ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slow and not browser and not long" tests/unit

# `make slow.txt` after a while: what has become slow, or new.
slow.txt: .venv/.ready
	$(BIN)/python -m pytest -q --durations=0 --durations-min=.06 tests/unit | \
		sed -nE 's/^ *[0-9.]+s (call|setup) +([^[ ]+).*/\2/p' | sort -u > tests/slow.txt

# What takes minutes and has shorter relatives in `make test`: before a release.
long: .venv/.ready
	ONTOGENY_LONG=1 ONTOGENY_ZOO=all ONTOGENY_SETUPS=2000 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house_rules

# A peer that only the timings need stands aside.
bench: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target .venv/bench \
		cka-pytorch==1.1.3 seaborn==0.13.2
	PYTHONPATH=.venv/bench $(BIN)/python -m tests.timings

# Warnings of old libraries among each other are no errors here, and shapes are not checked: old checkers evaluate more
# annotations than can be. timm is left out, for the reason below.
lowest: .venv/.lowest
	.venv/lowest/bin/python -m pytest -o filterwarnings=default -o addopts= -m "not slow and not browser" tests/unit

.venv/.lowest: constraints-lowest.txt
	$(PYTHON) -m venv .venv/lowest
	.venv/lowest/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints-lowest.txt
	.venv/lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Written anew when pyproject.toml's ranges change; uv resolves them.
constraints-lowest: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .venv/uv uv
	.venv/uv/bin/uv pip compile --quiet --no-annotate --no-header --upgrade --resolution lowest-direct \
		--python-version 3.11 --all-extras --no-emit-package timm --no-emit-package torchvision \
		pyproject.toml --output-file constraints-lowest.txt

# timm stands aside: it needs torchvision, whose wheels do not fit the CPU build of torch, and a torchvision that cannot be
# imported breaks transformers. The tests of timm run in a process that sees this folder.
TIMM := timm==1.0.31 torchvision==0.28.0

# Modules are compiled when they are first imported: most never are.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

# torch first and pinned, so that a machine without a GPU does not draw in gigabytes of CUDA through another package.
.venv/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --constraint constraints.txt torch
	$(INSTALL) --constraint constraints.txt --editable '.[dev]'
	$(INSTALL) --upgrade --no-deps --target .venv/timm $(TIMM)
	touch $@

clean:
	rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
