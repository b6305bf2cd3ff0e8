# Two commands do all the set-up: `make demo` and `make test`. Everything is installed into .venv, nothing outside it.

VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
UV    := $(BIN)/uv pip install --quiet --no-config --no-deps --compile-bytecode --no-cache --python $(BIN)/python
TESTS ?= tests

# What Python compiled is kept, whatever the machine says: the demo, the flows and the tests start process after process.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test coverage drills soak bench bench-quick sizing screenshots lock audit clean

help:
	@echo "make demo         install, then run everything on embedded defaults (Ctrl-C ends it)"
	@echo "make test         install, lint, type-check, check the import contract, run every test"
	@echo "make coverage     every test once more, counting the lines that they reach"
	@echo "make drills       kill the executor 200 times while it trades; 100,000 schedules of faults each for it and the ingester; 200 searches for luck; 50 searches and 100 of their workers killed; an hour of the page"
	@echo "make soak         run the demo for half an hour under mixed faults, and compare everything (SOAK_MINUTES, SOAK_SEED)"
	@echo "make bench        compare with the alternatives and with the limits of the machine (bench-quick: a smoke test of the same)"
	@echo "make sizing       bytes, cores and oplog of so many symbols with all processes running (SYMBOLS=10 MINUTES=15 DAYS=300)"
	@echo "make screenshots  take the picture of the page anew, from the story that a test tells in a browser"
	@echo "make install      only install, into $(VENV)"
	@echo "make lock         resolve the dependencies anew into constraints.txt and constraints-dev.txt"
	@echo "make audit        ask for published weaknesses of every pinned package; what cannot be looked up fails (needs the network)"
	@echo "make clean        remove what was built and installed; data in .tidemark stays"

# uv installs in seconds what takes pip a minute, but reads none of pip's settings: where they name an index, and where uv
# fails, pip has the work. uv itself comes from the same list, by its hash.
define fill
@sed -n '/^uv==/,/[^\\]$$/p' $(1) | $(PIP) --require-hashes -r /dev/stdin
@! $(BIN)/python -m pip config list | grep -qE '\.(index-url|no-index)=' && $(UV) --require-hashes -r $(1) \
	|| $(PIP) --require-hashes -r $(1)
@$(PIP) --no-build-isolation --editable .
@$(BIN)/tidemark doctor --only python --only mongod --only ta-lib
endef

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

# The first Python that is new enough; PYTHON=/path/to/python3 names another.
$(BIN)/python:
	@if [ -n "$(PYTHON)" ] && ! "$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
		echo "PYTHON=$(PYTHON) is not Python 3.11, 3.12 or 3.13 ($$("$(PYTHON)" --version 2>&1 | head -n 1)): name one that is, or leave PYTHON out" >&2; \
		exit 1; \
	fi
	@for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || continue; \
		"$$candidate" -c 'import ensurepip, venv' 2>/dev/null && { "$$candidate" -m venv --clear $(VENV); exit; }; \
		without="$$candidate"; \
	done; \
	if [ -n "$$without" ]; then \
		echo "$$without cannot make virtual environments: install its venv module (Debian, Ubuntu: sudo apt-get install python3-venv)" >&2; \
	else \
		echo "Python 3.11, 3.12 or 3.13 is needed, and none was found on PATH: install one, or name it with PYTHON=/path/to/python3" >&2; \
	fi; exit 1

$(VENV)/.installed: constraints.txt pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (a minute or two the first time)"
	$(call fill,constraints.txt)
	@touch $@

$(VENV)/.installed-dev: constraints-dev.txt constraints.txt pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV), with what the tests need (a minute or two the first time)"
	$(call fill,constraints-dev.txt)
	@touch $(VENV)/.installed $@

demo: install
	@$(BIN)/tidemark demo

# Two processes are quicker, and give up where one of them does not begin within three seconds: one alone has the last word.
TYPES = $(BIN)/mypy --num-workers 2 >/dev/null 2>&1 || $(BIN)/mypy

# The types of the page's own code, as its comments tell them.
SCRIPTS = DENO_DIR=$(VENV)/.deno DENO_NO_UPDATE_CHECK=1 $(BIN)/deno check --quiet --no-lock --config tests/web/deno.json pipeline/web/static

ALL_TESTS = $(BIN)/pytest --cache-clear -n 5 --dist loadfile --no-loadscope-reorder

test: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(TYPES)
	$(SCRIPTS)
	$(BIN)/lint-imports --no-logo
	$(ALL_TESTS) $(TESTS) || $(BIN)/python -m tests.alone $$?

# To count lines doubles the time of what is counted.
coverage: install-dev
	$(ALL_TESTS) --cov --cov-report=term $(TESTS)

drills: install-dev
	DRILL_KILLS=200 $(BIN)/python -m pytest -q tests/execution/service/test_kills.py -o timeout=3600
	DAY_MINUTES=20 $(BIN)/pytest -q tests/execution/service/test_live_equals_backtest.py \
		tests/execution/service/test_portfolio_equals_backtest.py -o timeout=600
	DRILL_SEEDS=1000000 $(BIN)/pytest -q -n 2 tests/execution/test_coins_in_books.py -o timeout=3600
	DRILL_SEEDS=100000 $(BIN)/pytest -q -n 2 tests/execution/test_core_faults.py tests/execution/test_coins_faults.py \
		tests/ingest/test_core_faults.py tests/ingest/test_delisting_faults.py -o timeout=3600
	BACKTEST_SEEDS=100 $(BIN)/pytest -q -n 2 tests/research/test_fast.py -o timeout=7200
	SEARCH_SEEDS=100 $(BIN)/pytest -q -n 2 tests/research/test_verdict.py -o timeout=7200
	SEARCH_KILLS=50 $(BIN)/pytest -q tests/door/test_search_workers.py -k killed_at_random -o timeout=7200
	STEADY_MINUTES=60 $(BIN)/pytest -q tests/web/test_steady.py

soak: install-dev
	@$(BIN)/python -m tests.soak

bench: install-dev
	@$(BIN)/python -m bench

bench-quick: install-dev
	@$(BIN)/python -m bench --quick

sizing: install-dev
	@$(BIN)/python -m bench.sizing --symbols $(or $(SYMBOLS),10) --minutes $(or $(MINUTES),15) --days $(or $(DAYS),300)

screenshots: install-dev
	$(BIN)/python -m pytest -q tests/web/test_story.py -k mouse
	cp test-output/browser/story-hand.png docs/images/page.png

RESOLVE = .lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-header --no-annotate pyproject.toml

lock: | $(BIN)/python
	@$(BIN)/python -m venv --clear .lock
	@.lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(RESOLVE) --all-extras --upgrade --output-file constraints-dev.txt
	@$(RESOLVE) --extra build --extra notify --extra cluster --upgrade --constraint constraints-dev.txt --output-file constraints.txt
	@rm -rf .lock

audit: | $(BIN)/python
	@trap 'rm -rf .audit' EXIT; \
	$(BIN)/python -m venv --clear .audit && \
	.audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit && \
	.audit/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		--requirement constraints.txt --requirement constraints-dev.txt

clean:
	rm -rf $(VENV) .lock .audit dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
