PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test coverage quick lint twins bench lock sample clean

## demo: a database from nothing to an answer, on the embedded server or on DEMO_URL
demo: .venv/ready
	$(BIN)/python -m tools.demo

## test: everything that must hold, on every PostgreSQL that can be had here; a table of minutes ends it
test: .venv/ready
	$(BIN)/python -m tools.suite

## coverage: how much of the package the whole suite executes, on the embedded server
coverage: .venv/ready
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --postgres=embedded
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

## quick: what to run before each commit
quick: .venv/ready
	$(BIN)/pytest --postgres=embedded -m quick

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.generate_twins --check

## twins: the synchronous classes, made from the asynchronous ones
twins: .venv/ready
	$(BIN)/python -m tools.generate_twins

## bench: the figures in the README, each beside its baseline
bench: .venv/ready
	$(BIN)/python -m benchmarks

## lock: choose the newest versions that pyproject.toml allows, and the lowest
LOCK := $(BIN)/uv pip compile pyproject.toml --group dev --quiet --upgrade --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock"
lock: .venv/ready
	$(LOCK) --all-extras --universal -o requirements.lock
	$(LOCK) --extra all --resolution lowest-direct -o requirements-lowest.lock

# The lock's own uv installs the rest of the lock, in a fifth of pip's time.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	awk '/^uv==/,/[^\\]$$/' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .
	touch $@

clean:
	rm -rf .venv .pgmodern .suite
