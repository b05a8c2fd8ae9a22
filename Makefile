# Two commands do all the set-up: `make demo` (no PyTorch) and `make test`.
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
BIN := $(VENV)/bin
# Of the tests, a file on one of them: a process a core, at most 4, of up to 1.5 GiB each. `make test WORKERS=0` runs them in one.
WORKERS ?= logical

.PHONY: demo test check kernels wheel bench precision gpu-check cpp fuzz clean

demo: $(DEMO_VENV)/.installed
	$(DEMO_VENV)/bin/fundusrt demo -o out/demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 15

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# The fat binary that is shipped, from its sources; needs nvcc. After a change of sdk/fundusrt/kernels/*.cu*.
kernels: $(VENV)/.installed
	$(BIN)/python -m fundusrt.kernels.build

wheel: $(VENV)/.installed
	rm -rf dist
	$(BIN)/python -m hatchling build -t wheel

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.pipeline_overhead

# On a machine with an NVIDIA GPU, by the Python that has its packages; nothing is fetched. GPU_CHECK takes options, such
# as --packages FOLDER for wheels that this Python lacks, or --rehearse to try the check where no GPU is.
gpu-check:
	PYTHONPATH="sdk:training:export:.$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) -m benchmarks.gpu_check $(GPU_CHECK)

# The C++ library and its examples, into build/cpp-tests.
cpp: $(VENV)/.installed
	$(BIN)/python -c "from tests.cpp.cpp_build import build; print(build('tests', '-DCMAKE_BUILD_TYPE=Release', '-DFUNDUSRT_TESTS=ON'))"

# Any bytes to the bundle reader for FUZZ_SECONDS, with the address and undefined-behaviour sanitizers: libFuzzer where
# clang++ is, else a driver without coverage.
FUZZ_SECONDS ?= 120
fuzz: $(VENV)/.installed
	$(BIN)/python cpp_examples/fuzz/seeds.py build/fuzz-seeds
	cpp_examples/get_headers build/cpp-headers
	CC=$$(command -v clang || echo cc) CXX=$$(command -v clang++ || echo c++) cmake -S cpp_examples -B build/cpp-fuzz \
		-DCMAKE_BUILD_TYPE=RelWithDebInfo -DFUNDUSRT_DEPENDENCIES=$(CURDIR)/build/cpp-headers -DFUNDUSRT_FUZZ=ON \
		-DFUNDUSRT_SANITIZE=address,undefined -DFUNDUSRT_EXAMPLES=OFF -DFUNDUSRT_WITH_ONNXRUNTIME=OFF
	cmake --build build/cpp-fuzz --parallel 2 --target fuzz_bundle
	mkdir -p build/fuzz-found
	build/cpp-fuzz/fuzz/fuzz_bundle -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 -print_final_stats=1 \
		build/fuzz-found build/fuzz-seeds

# docs/precision.md again. PHOTOGRAPHS shows exudates, LOW_QUALITY what is enhanced; angiograms are generated.
precision: $(VENV)/.installed
	test -d out/angiograms || $(BIN)/fundusrt generate out/angiograms --count 24 --seed 51000 --size 1536x1950
	$(BIN)/python -m benchmarks.precision leakage out/angiograms/images --images 24
	$(BIN)/python -m benchmarks.precision exudate $(PHOTOGRAPHS)
	$(BIN)/python -m benchmarks.precision enhance $(LOW_QUALITY)
	$(BIN)/python -m benchmarks.graph_passes
	$(BIN)/python -m benchmarks.precision_page

$(DEMO_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[cpu]"
	touch $@

# torch first, by itself: its pinned version has a CPU build, and nothing later may pull a larger one.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) $(DEMO_VENV) dist build out
