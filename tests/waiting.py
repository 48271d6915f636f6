"""Waiting in tests, which ends."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, LiteralString

import psycopg
import pytest


def until(
    condition: Callable[[], object],
    *,
    while_running: Future[Any] | None = None,
    seconds: float = 30,
) -> None:
    """Ask every few milliseconds until the condition holds; the test fails when it never does.

    With `while_running` the test also fails when that has ended first: with what it raised.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if while_running is not None and while_running.done() and not condition():
            while_running.result()
            pytest.fail("what was to be seen has ended before")
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come to that within {seconds:g} s")
        time.sleep(0.005)


def until_found(
    database: psycopg.Connection, query: LiteralString, *values: object, **how: Any
) -> tuple[Any, ...]:
    """Ask, as `until` does, until the query has a row; return that row."""
    row: tuple[Any, ...] | None = None

    def is_found() -> bool:
        nonlocal row
        row = database.execute(query, values).fetchone()
        return row is not None

    until(is_found, **how)
    assert row is not None
    return row
