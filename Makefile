# Every target sets up what it needs: a virtual environment in .venv with the versions of constraints.txt.
# Wanted on the machine: Python >= 3.11 with venv, make, and gcc with g++ (torch.compile builds its kernels with them).

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
WORKERS ?= 2

.PHONY: help demo test lint bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    five real networks from script to verified, measured and reported model (about 4 minutes, and 2 GB and 3 minutes of set-up the first time)"
	@echo "make test    the whole test suite"
	@echo "make lint    style and types"
	@echo "make bench   Turnkey's own overheads as ratios (about 10 minutes, wants a quiet machine)"
	@echo "make clean   removes what these targets wrote, except $(VENV)"

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@echo "installs 2 GB into $(VENV): some minutes, and pip says nothing meanwhile"
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh demo-output

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations 0 --durations-min 3

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/all.py

clean:
	rm -rf demo-output build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
