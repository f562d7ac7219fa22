# Each target makes its own .venv when there is none.
PYTHON ?= python3
export OMP_WAIT_POLICY ?= PASSIVE
export OPENBLAS_NUM_THREADS ?= 1
BIN := .venv/bin
OUT ?= runs/quick

.PHONY: run test test-long test-browser docs bench lint clean

# pip compiles byte code on install; without it every import of torch takes many seconds.
.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q "torch>=2.11,<2.14"
	$(BIN)/python -m pip install --disable-pip-version-check -q -e ".[test,lint]"
	mkdir -p .venv/src && ln -sfn ../.. .venv/src/hedgefox
	touch $@

run: .venv/ready
	$(BIN)/hedgefox run --track quick --out $(OUT)

# A file's tests share what they set up, so files are what is handed out; real seconds are measured afterwards, alone.
test: .venv/ready
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile -m "not long and not browser and not timed"
	$(BIN)/python -m pytest -m timed

test-long: .venv/ready
	$(BIN)/python -m pytest -m long --timeout 3600

# Playwright drives the system's own Chromium; it downloads no browser.
test-browser: .venv/ready
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || { echo "needs chromium (Debian: apt-get install chromium), or CHROMIUM=its path" >&2; exit 2; }
	$(BIN)/python -m pip install --disable-pip-version-check -q -e ".[browser]"
	$(BIN)/python -m pytest -m browser

# README, docs/ and results/ as pages in build/docs; a link that leads nowhere ends it.
docs: .venv/ready
	@$(BIN)/python -c "import furo, latex2mathml, myst_parser, sphinx" 2>/dev/null || \
	  $(BIN)/python -m pip install --disable-pip-version-check -q -e ".[docs]"
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs -d build/doctrees . build/docs

bench: .venv/ready
	$(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only -m "not gpu"

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd .venv/src && ../bin/python -m mypy --config-file hedgefox/pyproject.toml hedgefox

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
