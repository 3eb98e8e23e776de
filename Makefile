# Each target is what a person could type. The environment is made anew when the pins change.
BIN = .venv/bin
# Debian keeps nginx where only root looks.
export PATH := $(PATH):/usr/sbin

run: .venv/run
	$(BIN)/gunicorn polls.asgi -k uvicorn.workers.UvicornWorker

# The site on this machine, started anew whenever a file of it is saved.
dev: .venv/test
	DEBUG=1 $(BIN)/uvicorn polls.asgi:application --port $(or $(PORT),8000) --reload --reload-dir polls --reload-include '*.html' --reload-include '*.svg'

check: .venv/test
	$(BIN)/black --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# No process, no browser, no PostgreSQL: under a minute.
test-fast: .venv/test
	$(BIN)/pytest -n auto -m "not server"

# Everything. Tests mostly wait for servers: four at a time take less than half as long.
test: programs check .venv/vnu
	$(BIN)/pytest -n 4
	$(BIN)/python tests/support/postgres.py $(BIN)/pytest -n 4

programs:
	.ci/programs

bench: .venv/test
	$(BIN)/python -m bench.run $(OPTIONS)

format: .venv/test
	$(BIN)/black .

# Takes the texts of the site into the catalogs, and compiles them; needs gettext.
messages: .venv/test
	$(BIN)/python manage.py messages

audit: .venv/run
	$(BIN)/pip install --quiet pip-audit==2.10.1
	$(BIN)/pip-audit --strict --requirement requirements.txt

.venv/run: requirements.txt
	python3 -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

.venv/test: requirements-dev.txt .venv/run
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	touch $@

# The W3C's checker of HTML, a program in Java, which a test runs on every page.
.venv/vnu: Makefile | .venv/run
	npm install --silent --no-save --ignore-scripts --prefix $@ vnu-jar@26.9.27
	touch $@

.PHONY: run dev check test-fast test programs bench format messages audit
