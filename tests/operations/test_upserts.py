"""What a session that upserts can see while a unique index has a second one beside it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.errors import UniqueViolation
from sqlalchemy import URL

from pgmodern.names import derived
from tests.operations.indexes import Apply, Step, names, replace
from tests.waiting import until_found

Connect = Callable[[URL], psycopg.Connection]

# The function holds up whoever says so after it has looked for a conflict, and before the unique
# indexes: they come later.
CHARTS = """
    CREATE FUNCTION held(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF current_setting('pgmodern.held', true) = 'yes' THEN
            PERFORM pg_advisory_xact_lock_shared(7);
        END IF;
        RETURN $1;
    END $$;
    ALTER TABLE songs ADD place int, ADD times int DEFAULT 1;
    CREATE INDEX first ON songs (held(place));
    CREATE UNIQUE INDEX ix ON songs (place);
"""
UPSERT = """
    INSERT INTO songs (place) VALUES (%s)
    ON CONFLICT (place) DO UPDATE SET times = songs.times + 1
"""

# Every row enters it, and no upsert looks for a conflict in it.
ENTERED = """
    SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisready AND NOT indisvalid
"""


def collide(url: URL, database: psycopg.Connection, connect: Connect) -> str | None:
    """Have two sessions upsert the same new key at once; return the index that one of them broke.

    Tried again, the session that had the error is served.
    """
    broken: str | None = None
    late, waits = connect(url), "SELECT pid FROM pg_locks WHERE pid = %s AND NOT granted"
    late.execute("SET pgmodern.held = 'yes'")
    with ThreadPoolExecutor() as pool:
        database.execute("SELECT pg_advisory_lock(7)")
        upserting = pool.submit(late.execute, UPSERT, [1])
        until_found(database, waits, late.info.backend_pid)
        database.execute(UPSERT, [1])
        database.execute("SELECT pg_advisory_unlock(7)")
        error = upserting.exception(timeout=30)
    if error is not None:
        assert isinstance(error, UniqueViolation)
        broken = error.diag.constraint_name
        late.execute(UPSERT, [1])
    assert database.execute("SELECT place, times FROM songs").fetchall() == [(1, 2)]
    database.execute("DELETE FROM songs")
    return broken


@pytest.mark.parametrize(
    ("isolation", "reads", "broken"),
    [
        (IsolationLevel.REPEATABLE_READ, "pg_class", derived("ix", "new")),
        (IsolationLevel.READ_COMMITTED, "songs", "ix"),
    ],
    ids=["while the successor is built", "while the old one is dropped"],
)
def test_two_who_insert_the_same_key_at_once_may_collide_and_the_next_try_succeeds(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    isolation: IsolationLevel,
    reads: str,
    broken: str,
) -> None:
    database.execute(CHARTS)
    assert collide(empty_database_url, database, connect) is None
    reader = connect(empty_database_url)
    reader.isolation_level = isolation
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute(f"SELECT count(*) FROM {reads}".encode())
            replacing = pool.submit(
                apply, replace("place", unique=True, postgresql_include=["album"])
            )
            until_found(database, ENTERED, broken)
            assert collide(empty_database_url, database, connect) == broken
        replacing.result(timeout=60)
    assert collide(empty_database_url, database, connect) is None
    assert names(database) == {"ix", "first"}


def change(op: Any) -> None:
    """Change the type of the column that the upserts go by."""
    op.change_column_type_online("songs", "place", "bigint")


@pytest.mark.parametrize(
    "step",
    [replace("place", unique=True, postgresql_include=["album"]), change],
    ids=["replace_index_online", "change_column_type_online"],
)
def test_upserts_under_way_see_nothing_worse_and_none_is_lost(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    step: Step,
) -> None:
    database.execute(CHARTS)
    database.execute("DROP INDEX first")
    stop, writers = threading.Event(), [connect(empty_database_url) for _ in range(4)]

    def write(writer: psycopg.Connection) -> int:
        """Upsert new keys, each also another writer's, until told to stop; return how many."""
        written = 0
        while not stop.is_set():
            try:
                writer.execute(UPSERT, [written // 3])
            except UniqueViolation:
                writer.execute(UPSERT, [written // 3])
            written += 1
        return written

    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write, writer) for writer in writers]
        try:
            apply(step)
        finally:
            stop.set()
        written = sum(each.result(timeout=30) for each in writing)
    assert database.execute("SELECT sum(times) FROM songs").fetchone() == (written,)
