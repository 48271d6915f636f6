PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench lock sample clean

## demo: a database from nothing to an answer
demo: .venv/ready
	$(BIN)/alembic upgrade head
	$(BIN)/pgmodern demo

## test: everything that must hold, on every PostgreSQL that can be had here
test: lint
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --postgres=embedded
	if docker info >/dev/null 2>&1; then $(BIN)/coverage run -m pytest --postgres=container; \
	else echo "Docker is not there: the container half of the suite was not run."; fi
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

## bench: the figures in the README, each beside its baseline
bench: .venv/ready
	$(BIN)/python -m benchmarks

## lock: choose the newest versions that pyproject.toml allows
lock: .venv/ready
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --quiet --universal --upgrade \
		--generate-hashes --python-version 3.11 --custom-compile-command "make lock" -o requirements.lock

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

clean:
	rm -rf .venv .pgmodern
