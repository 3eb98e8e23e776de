# Each target is what a person could type. The environment is made anew when the pins change.
BIN = .venv/bin

run: .venv/run
	$(BIN)/gunicorn polls.asgi -k uvicorn.workers.UvicornWorker

test: .venv/test
	$(BIN)/black --check .
	$(BIN)/pytest
	$(BIN)/python tests/with_postgres.py $(BIN)/pytest

bench: .venv/test
	$(BIN)/python bench/run.py $(OPTIONS)

format: .venv/test
	$(BIN)/black .

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

.PHONY: run test bench format audit
