# Every target makes what it needs; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NATIVE := $(shell find native adafuse_deploy/schema -type f 2>/dev/null)

WERROR ?= OFF
CMAKE_NATIVE := cmake -S native -G Ninja -DADAFUSE_BUILD_TESTS=ON -DADAFUSE_WERROR=$(WERROR)
WITH_RUNTIME := -DADAFUSE_BUILD_RUNTIME=ON -DPython3_EXECUTABLE=$(abspath $(BIN))/python

.DEFAULT_GOAL := help
.PHONY: help install demo docs test test-all runtime coverage floors lint tidy format bench benchmarks cpp wheels reproduce sanitize thread-sanitize fuzz \
	tensorrt plugin aarch64 clean

help:  ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 25

install: $(INSTALLED)  ## Create .venv, install everything and build the operator library

# pip builds the native code; it is built again when any of its sources changes.
$(INSTALLED): pyproject.toml constraints.txt $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install  ## Export, build, verify and run the shipped network on a video
	$(BIN)/python scripts/demo.py demo

test: install  ## Run the tests, but for the slow ones
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: install  ## Run all tests
	$(BIN)/python -m pytest -n 2 --all-mutations

# The package without its native code, which `make install` built already, and what it cannot do without.
RUNTIME_TESTS := tests/test_runtime.py tests/core tests/data/test_video.py tests/data/test_feed.py \
	tests/evaluation/test_videos.py tests/evaluation/test_views.py tests/engines/test_old_files.py
runtime: install  ## Test what runs without PyTorch, in an environment that has nothing else
	$(PYTHON) -m venv --clear build/runtime
	build/runtime/bin/pip install --quiet --constraint constraints.txt --config-settings wheel.cmake=false . pytest
	ADAFUSE_OPERATOR_LIBRARY=$$($(BIN)/python -c "from adafuse_deploy.ops.library import *; print(operator_library_path())") \
		build/runtime/bin/python -m pytest $(RUNTIME_TESTS)

coverage: install  ## Run all tests and report which lines of Python none of them reaches
	$(BIN)/python -m pytest -n 2 --cov=adafuse_deploy --cov-report=term-missing:skip-covered --cov-report=html:build/coverage

FLOOR_TESTS := tests/exporters/test_onnx_exporter.py tests/engines/test_classify.py tests/data \
	tests/native/test_library.py tests/engines/test_streams.py tests/exporters/test_quantize.py tests/ops/test_function_bodies.py tests/test_cli.py
floors:  ## Test what runs with the oldest versions that pyproject.toml allows
	test -x build/floors/bin/python || $(PYTHON) -m venv build/floors
	build/floors/bin/pip install --quiet --constraint constraints-floor.txt --editable '.[openvino,train]' pytest
	build/floors/bin/python -m pytest $(FLOOR_TESTS)

lint: install  ## Check form and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	find native -name '*.cpp' -o -name '*.h' -o -name '*.hpp' | xargs $(BIN)/clang-format --dry-run --Werror

# The flags of a build say how to read each file; those of the plugin library need TensorRT's headers, which it has not.
tidy: tensorrt  ## Look for faults in C++ with clang-tidy (some minutes)
	cmake -S native -B build/native -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
	find native -name '*.cpp' -not -path 'native/tensorrt/*' | xargs -P 2 -n 4 $(BIN)/clang-tidy --quiet -p build/native

format: install  ## Put code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find native -name '*.cpp' -o -name '*.h' -o -name '*.hpp' | xargs $(BIN)/clang-format -i

# A site that fetches anything from elsewhere is refused (scripts/docs/offline.py).
docs: install  ## Build the documentation as a site in build/docs
	$(BIN)/pip install --quiet --constraint constraints.txt --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: install  ## Time ResNet-50 on our kernels beside dense peers (some minutes)
	$(BIN)/adafuse-deploy bench --arch adafuse_tsm_resnet50 --policy-mix sthv2 --threads 2

benchmarks: cpp  ## Measure all published rows and write their tables
	$(BIN)/python scripts/benchmark.py
	$(BIN)/python scripts/layer_rates.py

TENSORRT ?= OFF
cpp: install  ## Build the native code and the C++ runtime, and run their own tests
	$(CMAKE_NATIVE) -B build/native -DCMAKE_BUILD_TYPE=Release -DADAFUSE_RUNTIME_TENSORRT=$(TENSORRT) $(WITH_RUNTIME)
	cmake --build build/native
	ctest --test-dir build/native --output-on-failure

tensorrt:  ## The same with a C++ runtime that opens engines of TensorRT, whose headers suffice
	$(MAKE) cpp TENSORRT=ON

# Kernels for seven GPU generations; one is compiled in some minutes: make plugin CUBIN_TARGETS=87
CUBIN_TARGETS ?= 80 86 87 89 90 100 120
empty :=
WITH_PLUGIN = -DADAFUSE_BUILD_TENSORRT_PLUGIN=ON "-DADAFUSE_CUBIN_TARGETS=$(subst $(empty) ,;,$(strip $(CUBIN_TARGETS)))"
plugin: install  ## Build the plugin library for TensorRT and drive it without TensorRT
	$(CMAKE_NATIVE) -B build/plugin -DCMAKE_BUILD_TYPE=Release $(WITH_PLUGIN) -DPython3_EXECUTABLE=$(abspath $(BIN))/python
	cmake --build build/plugin --target adafuse_tensorrt test_plugin_creators test_plugin_block_plan test_plugin_enqueue test_plugin_on_gpu
	ctest --test-dir build/plugin --output-on-failure -R plugin

# Whatever is wrong ends the test that does it.
# GCC takes what sanitizers add to the standard library for uses of uninitialised values.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-maybe-uninitialized
sanitize: install  ## The same with AddressSanitizer and UndefinedBehaviorSanitizer
	$(CMAKE_NATIVE) -B build/sanitize -DCMAKE_BUILD_TYPE=None "-DCMAKE_CXX_FLAGS=-O1 -g1 $(SANITIZERS)" $(WITH_RUNTIME)
	cmake --build build/sanitize
	ctest --test-dir build/sanitize --output-on-failure --parallel 2

# ONNX Runtime is not instrumented, so the engine runs one thread of its own under several of the test's: what threads share
# there (packed weights, workspaces, sessions) is watched, as are the kernels under the tests' own threads.
ONLINE := adafuse_deploy/assets/adafuse_tsm_online_resnet18_synthetic.pt
thread-sanitize: install  ## Run the native tests and an engine in several threads with ThreadSanitizer
	$(CMAKE_NATIVE) -B build/thread -DCMAKE_BUILD_TYPE=None "-DCMAKE_CXX_FLAGS=-O1 -g1 -fsanitize=thread -Wno-maybe-uninitialized" $(WITH_RUNTIME)
	cmake --build build/thread
	ctest --test-dir build/thread --output-on-failure --parallel 2
	$(BIN)/adafuse-deploy export $(ONLINE) --mode stream -o build/thread/stream.onnx
	build/thread/runtime/tests/test_runtime_engine build/thread/stream.onnx --threads=1 --test-case="threads share an engine"

# apt install clang; finds lie in build/fuzz: what did harm becomes a file of native/fuzz/corpus.
FUZZ_RUNS ?= 1000000
FUZZ_TARGETS := metadata npy onnx_properties residual_block
FUZZ_FLAGS := -O1 -g1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz: install  ## Give the C++ readers and a block a million inputs each, made up by libFuzzer (an hour or so)
	CC=$${CC:-clang} CXX=$${CXX:-clang++} $(CMAKE_NATIVE) -B build/fuzz -DCMAKE_BUILD_TYPE=None "-DCMAKE_CXX_FLAGS=$(FUZZ_FLAGS)" \
		-DADAFUSE_FUZZ=ON $(WITH_RUNTIME)
	cmake --build build/fuzz --target $(addprefix fuzz_,$(FUZZ_TARGETS))
	cd build/fuzz && for target in $(FUZZ_TARGETS); do mkdir -p corpus/$$target && fuzz/fuzz_$$target -runs=$(FUZZ_RUNS) -timeout=5 \
		-rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 corpus/$$target ../../native/fuzz/corpus/$$target || exit 1; done

# apt install g++-aarch64-linux-gnu qemu-user
aarch64:  ## Build the kernels for 64-bit ARM and run their tests in an emulator
	@for tool in aarch64-linux-gnu-g++ qemu-aarch64; do command -v $$tool >/dev/null || \
		{ echo "$$tool is missing: apt install g++-aarch64-linux-gnu qemu-user" >&2; exit 3; }; done
	$(CMAKE_NATIVE) -B build/aarch64 -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake
	cmake --build build/aarch64
	ctest --test-dir build/aarch64 --output-on-failure --parallel 2

# apt install g++-aarch64-linux-gnu for the second one; TWICE=--twice compares two builds.
WHEELS ?= $(shell uname -m)
wheels: install  ## Build wheels of the last commit into dist: make wheels WHEELS="x86_64 aarch64" TWICE=--twice
	$(BIN)/python scripts/wheels.py $(WHEELS) $(TWICE)

reproduce: install  ## Train and measure the paper's systems in miniature (about two hours)
	$(BIN)/python scripts/reproduce.py

clean:  ## Remove everything that was made
	rm -rf $(VENV) build demo runs
