# Each target is what a person could type. The environment is made anew when the pins change.
BIN = .venv/bin
# Debian keeps nginx where only root looks.
export PATH := $(PATH):/usr/sbin

run: .venv/run
	$(BIN)/gunicorn polls.asgi -k uvicorn.workers.UvicornWorker

# The site on this machine, started anew whenever a file of it is saved.
dev: .venv/test
	DEBUG=1 $(BIN)/uvicorn polls.asgi:application --port $(or $(PORT),8000) --reload --reload-dir polls --reload-include '*.html' --reload-include '*.svg'

check: black ruff mypy imports

black: .venv/test
	$(BIN)/black --check --quiet .

ruff: .venv/test
	$(BIN)/ruff check --quiet .

mypy: .venv/test
	$(BIN)/mypy

imports: .venv/test
	$(BIN)/lint-imports --no-logo

# No process, no browser, no PostgreSQL: under a minute.
test-fast: .venv/test
	$(BIN)/pytest -n auto -m "not server"

# Everything. Tests mostly wait for servers: four at a time take less than half as long.
test: programs
	$(MAKE) --jobs=4 --output-sync check audited .venv/vnu
	$(BIN)/pytest -n 4
	$(BIN)/python tests/support/postgres.py $(BIN)/pytest -n 4

programs:
	.ci/programs

# Breaks the site in each way that docs/faults.md has a row for, and writes them anew: at most a quarter of an hour.
faults: programs .venv/test
	$(BIN)/python -m tests.faults

bench: .venv/test
	$(BIN)/python -m bench.run $(OPTIONS)

format: .venv/test
	$(BIN)/black .

# Takes the texts of the site into the catalogs, and compiles them; needs gettext.
messages: .venv/test
	$(BIN)/python manage.py messages

# Asks whether anything that is installed has a known vulnerability, and renews the badge; fails where nobody answers.
audit: .venv/tools
	.ci/audit --badge

# The same for a test: where nobody answers it says so, and goes on.
audited: .venv/tools
	.ci/audit

# Pins anew, with their hashes, what requirements.txt asks for and what that needs: for each Python from 3.11 on.
lock: .venv/tools
	.venv/tools/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" --output-file requirements.lock requirements.txt

# What production has, as CycloneDX: sbom.json, read from an environment with nothing but the lock.
sbom: .venv/locked
	.venv/tools/bin/cyclonedx-py environment --output-reproducible --output-format JSON --output-file sbom.json $<

.venv/run: requirements.lock
	python3 -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement $<
	touch $@

.venv/test: requirements-dev.txt .venv/run
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	touch $@

# Beside the environment of the site, which has what the site needs and nothing else.
.venv/tools: Makefile
	python3 -m venv $@
	$@/bin/pip install --quiet pip-audit==2.10.1 cyclonedx-bom==7.5.0 uv==0.13.9
	touch $@

.venv/locked: requirements.lock | .venv/run .venv/tools
	python3 -m venv --clear --without-pip $@
	$(BIN)/pip --python $@/bin/python install --quiet --require-hashes --requirement $<
	touch $@

# The W3C's checker of HTML, a program in Java, which a test runs on every page.
.venv/vnu: Makefile | .venv/run
	npm install --silent --no-save --ignore-scripts --prefix $@ vnu-jar@26.9.27
	touch $@

.PHONY: run dev check black ruff mypy imports test-fast test programs faults bench format messages audit audited lock sbom
