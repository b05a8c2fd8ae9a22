# Two commands do all the set-up: `make demo` (no PyTorch) and `make test`.
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
BIN := $(VENV)/bin
# Of the tests, a file on one of them: a process a core, at most 4, of up to 1.5 GiB each. `make test WORKERS=0` runs them in one.
WORKERS ?= logical

.PHONY: demo test check wheel bench clean

demo: $(DEMO_VENV)/.installed
	$(DEMO_VENV)/bin/fundusrt demo -o out/demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 15

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
