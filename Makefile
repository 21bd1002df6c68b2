# Each target builds .venv when it is absent or stale, and does all else it needs. Paths are relative: a space in the
# folder's name is fine.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && exit; done; echo python3)
BIN := .venv/bin/python
ARGS ?=
# Where bytecode may not be kept, each of the hundreds of processes of a run compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help land-cover serve test trials test-lowest test-newest lint types hooks benchmark benchmarks clean run-environment serve-environment dev-environment lowest-environment newest-environment

help:
	@echo "make land-cover   the land-cover example on the embedded sample: map, validation, report (ARGS=... for options)"
	@echo "make serve        the service on loopback, with the embedded scene and a simulated year (ARGS=... for options)"
	@echo "make test         lint, types and all tests"
	@echo "make trials       attacks, faults and whole runs at length, which make test leaves out"
	@echo "make test-lowest  the fast tests with every direct dependency at its floor, on Python 3.11"
	@echo "make test-newest  the fast tests with the newest of all dependencies, on the newest Python"
	@echo "make hooks        the checks before every commit: lint, types, the contract of the house"
	@echo "make benchmark    the chain against plain eo-learn, side by side"
	@echo "make benchmarks   speed and memory against the last run, kept in results/benchmarks (ARGS=... for some of them)"
	@echo "make clean        remove the environments, caches and results, not the figures in results/benchmarks"

land-cover: run-environment
	@$(BIN) -m eotasks.workflows.cli land-cover $(ARGS)

serve: serve-environment
	@$(BIN) -m eotasks.workflows.cli serve --demo $(ARGS)

# pytest-xdist waits for ever for the rest of a process that died and was replaced: hence none is.
test: lint types
	@$(BIN) -m pytest -n 4 --dist loadfile --max-worker-restart 0 --no-loadscope-reorder -m "not trial"  # tests of a file share their runs

trials: dev-environment
	@$(BIN) -m pytest -n 2 --dist loadfile --max-worker-restart 0 -m trial

test-lowest: lowest-environment
	@.venv-lowest/bin/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 -m "not slow and not trial"

test-newest: newest-environment
	@.venv-newest/bin/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 -m "not slow and not trial"

lint: dev-environment
	@$(BIN) -m ruff check .
	@$(BIN) -m ruff format --check .
	@$(BIN) -m codespell_lib

types: dev-environment
	@$(BIN) -m mypy

hooks: dev-environment
	@$(BIN) -m pre_commit install

benchmark: dev-environment
	@$(BIN) -m tests.benchmarks.land_cover

benchmarks: dev-environment
	@$(BIN) -m tests.benchmarks $(ARGS)

clean:
	rm -rf .venv .venv-lowest .venv-newest .pytest_cache .mypy_cache .ruff_cache .hypothesis
	if [ -d results ]; then find results -mindepth 1 -maxdepth 1 ! -name benchmarks -exec rm -rf {} +; fi

run-environment:
	@$(PYTHON) tools/environment.py run

serve-environment:
	@$(PYTHON) tools/environment.py serve

dev-environment:
	@$(PYTHON) tools/environment.py dev

lowest-environment:
	@$(PYTHON) tools/environment.py lowest

newest-environment:
	@$(PYTHON) tools/environment.py newest
