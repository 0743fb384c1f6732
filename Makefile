# Every target makes what it needs; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NATIVE := $(shell find native -type f 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench benchmarks cpp reproduce clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(INSTALLED)  ## Create .venv, install everything and build the operator library

# pip builds the native code; it is built again when any of its sources changes.
$(INSTALLED): pyproject.toml constraints.txt $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install  ## Export, build, verify and run the shipped network on a video
	$(BIN)/python scripts/demo.py demo

test: install  ## Run all tests
	$(BIN)/python -m pytest -n 2

lint: install  ## Check form and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find native -name '*.cpp' -o -name '*.h' | xargs $(BIN)/clang-format --dry-run --Werror

format: install  ## Put code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find native -name '*.cpp' -o -name '*.h' | xargs $(BIN)/clang-format -i

bench: install  ## Time ResNet-50 on our kernels beside dense peers (some minutes)
	$(BIN)/adafuse-deploy bench --arch adafuse_tsm_resnet50 --policy-mix sthv2 --threads 2

benchmarks: install  ## Measure all published rows and write their tables
	$(BIN)/python scripts/benchmark.py

cpp: install  ## Build the native code and run its own tests
	cmake -S native -B build/native -G Ninja -DCMAKE_BUILD_TYPE=Release -DADAFUSE_BUILD_TESTS=ON
	cmake --build build/native
	ctest --test-dir build/native --output-on-failure

reproduce: install  ## Train and measure the paper's systems in miniature (about two hours)
	$(BIN)/python scripts/reproduce.py

clean:  ## Remove everything that was made
	rm -rf $(VENV) build demo runs
