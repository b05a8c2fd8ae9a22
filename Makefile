# Two commands do all the set-up: `make demo` (no PyTorch) and `make test`.
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
BIN := $(VENV)/bin

.PHONY: demo test check wheel bench precision clean

demo: $(DEMO_VENV)/.installed
	$(DEMO_VENV)/bin/fundusrt demo -o out/demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

wheel: $(VENV)/.installed
	rm -rf dist
	$(BIN)/python -m hatchling build -t wheel

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.pipeline_overhead

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
