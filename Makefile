# Two commands for a fresh machine: `make demo` and `make test`. Each makes what it needs and nothing else.
PYTHON ?= python3
WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test check format bench samples audit-dependencies sbom bounds faults differential clean

demo: $(VENV)/.run
	$(BIN)/auditor demo -o demo-report

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py
	$(BIN)/python -m tests.wheel

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev .bench/.made
	$(BIN)/python -m benchmarks --contenders .bench/bin/python

# What we are compared with lives in an environment of its own and never beside the product.
.bench/.made: requirements/bench.txt
	rm -rf .bench
	$(PYTHON) -m venv .bench
	.bench/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: -r requirements/bench.txt
	touch $@

samples: $(VENV)/.dev
	$(BIN)/python -m tests.parsed
	$(BIN)/python -m tests.prepared
	$(BIN)/python -m tests.samples
	$(BIN)/python -m tests.venues

# 1: a flaw is known. 75: nobody could be asked, which is not "none"; make itself then ends with 2.
audit-dependencies: $(VENV)/.dev
	$(BIN)/python -m tests.supply audit

sbom: $(VENV)/.dev
	$(BIN)/python -m tests.supply sbom dist/exchange-auditor.cdx.json

# The oldest versions that are allowed, then the newest there are, each in an environment of its own.
bounds: $(VENV)/.dev
	$(BIN)/python -m tests.bounds lowest
	$(BIN)/python -m tests.bounds newest

# Every fault at every endpoint of every venue, printed; minutes.
faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults

# The text of rules on DuckDB, PostgreSQL and Spark: the same answers. Needs Java, PostgreSQL and 450 MB; minutes.
differential: $(VENV)/.dev .spark/.made
	@java -version >/dev/null 2>&1 || { echo 'Java is missing. Install it with: apt install default-jre-headless' >&2; exit 1; }
	AUDITOR_SPARK_PYTHON=.spark/bin/python AUDITOR_REQUIRE_POSTGRES=1 AUDITOR_DIFFERENTIAL=60 $(BIN)/python -m pytest tests/engine/test_portable.py

.spark/.made: requirements/spark.txt requirements/spark-build.txt
	rm -rf .spark
	$(PYTHON) -m venv .spark
	.spark/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: -r requirements/spark-build.txt
	.spark/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-build-isolation -r requirements/spark.txt
	touch $@

clean:
	rm -rf $(VENV) dist build demo-report

# An environment is finished when its stamp is there: a half-made one is made again.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'auditor needs Python 3.11 or newer: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo 'The venv module of Python is missing. Install it with: apt install python3-venv' >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt pyproject.toml
	$(PIP) --require-hashes --only-binary :all: -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.made requirements/dev.txt pyproject.toml
	$(PIP) --require-hashes --only-binary :all: -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/.run
