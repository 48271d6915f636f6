"""What locks two tables gives way to a session that comes to them the other way round."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]

KEY = ("fk", "plays", "songs", ["song"], ["id"])


def add(op: Any) -> None:
    """The step that adds a foreign key."""
    op.add_foreign_key_online(*KEY)


def drop(op: Any) -> None:
    """The step that drops it."""
    op.drop_constraint_online("fk", "plays")


def adopt(op: Any) -> None:
    """The step that creates a table with a foreign key."""
    op.adopt_table("plays", "CREATE TABLE plays (song bigint REFERENCES songs (id), at date)")


def release(op: Any) -> None:
    """The step that drops that table."""
    op.release_table("plays")


def nothing(_: Any) -> None:
    """A step that does nothing."""


@pytest.mark.parametrize(
    ("before", "step", "changed"),
    [
        (nothing, add, "EXISTS (SELECT FROM pg_constraint WHERE conname = 'fk')"),
        (add, drop, "NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'fk')"),
        (adopt, release, "to_regclass('plays') IS NULL"),
    ],
)
def test_the_other_session_is_not_the_one_to_fail(
    before: Step,
    step: Step,
    changed: str,
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    if before is not adopt:
        database.execute("CREATE TABLE plays (song bigint, at date)")
    apply(before)
    writer = connect(empty_database_url)
    writer.execute("SET deadlock_timeout = '300ms'")

    def patient() -> None:
        with suppress(OperationalError):  # a transactional one is tried again by the environment
            apply(step)

    with ThreadPoolExecutor() as pool:
        with writer.transaction():
            writer.execute("UPDATE songs SET title = 'b'")
            applying = pool.submit(patient)
            blocked(empty_database_url)
            writer.execute("UPDATE plays SET at = '2026-01-01'")
        applying.result()
    apply(step)
    assert database.execute(f"SELECT {changed}".encode()).fetchone() == (True,)
