# Two commands from a bare checkout: `make race`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
CONSTRAINTS := $(if $(CI),--constraint constraints.txt,)

.PHONY: race test test-long test-all parity chapters lint types bench clean

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(CONSTRAINTS) --editable '.[test,lint]'
	touch $@

race: .venv/.installed           ## every optimizer on the digits data, tuned and tested: race.html, race.png
	$(BIN)/jaxopt-course race $(ARGS)

test: .venv/.installed           ## the quick suite and the doctests
	$(BIN)/pytest --numprocesses 2 -m 'not slow and not long' $(ARGS)

test-long: .venv/.installed      ## more settings and combinations of what the quick suite tests
	$(BIN)/pytest --numprocesses 2 -m 'long and not slow' $(ARGS)

test-all: .venv/.installed       ## the quick suite and everything slow, chapters included
	$(BIN)/pip install --quiet $(CONSTRAINTS) --editable '.[test,notebooks]'
	$(BIN)/pytest --numprocesses 2 $(ARGS)

parity: .venv/.installed         ## the dialects against the real torch, Keras and optax, where those install
	$(BIN)/pip install --quiet $(CONSTRAINTS) --editable '.[test,parity]' || echo 'torch or Keras does not install: only what is there is compared'
	$(BIN)/pytest -m parity tests/dialects tests/optimizers $(ARGS)

chapters: .venv/.installed       ## run the notebooks, store their outputs, write the index of claims
	$(BIN)/pip install --quiet $(CONSTRAINTS) --editable '.[test,notebooks]'
	$(BIN)/python -m notebooks.build $(ARGS)

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed
	$(BIN)/pyright

bench: .venv/.installed          ## against the other frameworks (installs the extra `parity`)
	$(BIN)/pip install --quiet --editable '.[test,parity]'
	$(BIN)/python -m benchmarks.steps
	$(BIN)/python -m benchmarks.cold
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.leaves
	$(BIN)/python -m benchmarks.sweeps
	$(BIN)/python -m benchmarks.table

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache
