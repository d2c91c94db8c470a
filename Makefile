# Everything a fresh machine with Python 3.11+ needs: `make demo` and `make test` set themselves up.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# Bytecode is compiled on all cores, which pip does on one, and not of what is seldom or never
# imported. A file that is written for a newer Python is no reason to stop.
UNCOMPILED := /(tests?|_inductor|_internal|networkx|mypyc?)/

.PHONY: demo test lint docs weights clean

demo: $(INSTALLED)  ## Train STM and TSN on a set that only motion can solve, and compare them.
	$(BIN)/stmnet demo

test: $(INSTALLED) lint  ## Style, types, then every test.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)  ## Build the site of docs/ into site/; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

weights: $(INSTALLED)  ## Train the weights that come with the package, and render its samples.
	$(BIN)/python scripts/make_weights.py

clean:  ## Remove what the commands above made.
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache demo runs site

$(INSTALLED): requirements.lock pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --no-compile -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -qq -j 0 -x '$(UNCOMPILED)' .venv/lib src || true
	touch $(INSTALLED)
