PYTHON ?= python3
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal  # which keeps a file, and what it shares, together
READY := .venv/.ready
ARITHMETIC := tests/layers tests/methods/test_every_method.py $(wildcard tests/methods/test_quantize*.py) tests/artifacts/test_artifact.py

.PHONY: setup demo test test-all test-isa check clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: setup  # train, compress and measure every cell that has no record yet, then show the results
	$(BIN)/bench run demo --jobs 2
	$(BIN)/bench pareto demo --x flops --y quality --out results/demo/front.png --out results/demo/front.svg

test: setup
	$(PYTEST) -m "not slow"

test-all: setup test-isa  # what `make test` leaves out: slow tests, and the arithmetic under another instruction set
	$(PYTEST) -m slow

test-isa: setup  # test arithmetic and kernels again, as on a processor without AVX-512
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) $(ARITHMETIC)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
