"""Partitioning while others read and write: who waits for whom, and how long."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy, bound
from pgmodern.operations.partitions import Table
from tests.operations.partitions.plays import (
    BEYOND,
    Apply,
    Connect,
    SchemaOf,
    one,
    partition,
    parts,
    unpartition,
)


def test_the_check_is_proved_while_the_table_is_written(
    plays: psycopg.Connection, empty_database_url: URL, connect: Connect
) -> None:
    table = Table("plays", None, "at", "1 month", 3)
    plays.execute(table.announce(1).encode())
    writer = connect(empty_database_url)
    with writer.transaction():
        writer.execute("UPDATE plays SET title = 'x' WHERE number < 9")
        plays.execute(table.validate(1).encode())
        with pytest.raises(psycopg.errors.LockNotAvailable):
            plays.execute(table.swap(0.05).encode())
        writer.execute("INSERT INTO plays (listener, title) VALUES (1, 'y')")
    plays.execute(table.swap(1).encode())
    assert len(parts(plays)) == 4


def test_it_gives_way_to_a_transaction_that_reads_the_table(
    plays: psycopg.Connection,
    empty_database_url: URL,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    reader = connect(empty_database_url)
    reader.execute("SET statement_timeout = '5s'")
    for step, number in ((partition, 4), (unpartition, 0)):
        with ThreadPoolExecutor() as pool:
            with plays.transaction():
                plays.execute("SELECT * FROM plays")
                changing = pool.submit(apply, step)
                blocked(empty_database_url)
                reader.execute("UPDATE plays SET title = 'z' WHERE number = 1")
            changing.result()
        assert len(parts(plays)) == number


HELD = ["plays", "listeners", "plays_number_seq", "plays_until_29990701"]


@pytest.mark.parametrize("held", HELD)
def test_all_waits_together_take_no_longer_than_the_timeout(
    plays: psycopg.Connection, empty_database_url: URL, connect: Connect, held: str
) -> None:
    table = Table("plays", None, "at", "1 month", 3, "2999-07-01")
    for block in (table.announce, table.validate):
        plays.execute(block(1).encode())
    block = table.swap
    if held not in {"plays", "listeners", "plays_number_seq"}:
        plays.execute(table.swap(1).encode())
        block = table.take_back
    holder = connect(empty_database_url)
    with holder.transaction():
        if held.endswith("seq"):
            holder.execute("SELECT nextval('plays_number_seq')")
        else:
            holder.execute(f"LOCK TABLE {held} IN ROW EXCLUSIVE MODE".encode())
        started = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            plays.execute(block(0.6).encode())
        assert time.monotonic() - started < 0.6
    plays.execute(block(0.6).encode())


TIMEOUT = 0.2


class Writer(threading.Thread):
    """Writes rows of its own, with prepared statements, and remembers what they should be."""

    def __init__(self, database: psycopg.Connection, rows: list[int]) -> None:
        super().__init__()
        self.database = database
        self.rows = dict.fromkeys(rows, "a")
        self.over = threading.Event()
        self.error: Exception | None = None
        self.longest = 0.0
        self.done = 0

    def run(self) -> None:
        """Write until it is over."""
        chance = random.Random(min(self.rows))  # no two write the same
        try:
            while not self.over.wait(0.001):
                started = time.monotonic()
                self.write(chance)
                self.longest = max(self.longest, time.monotonic() - started)
                self.done += 1
        except (AssertionError, psycopg.Error) as error:
            self.error = error

    def write(self, chance: random.Random) -> None:
        """Insert, update, delete or read one row."""
        title, id_ = str(chance.random()), chance.choice(list(self.rows))
        action = chance.randrange(4)
        if action == 0:
            row = self.execute(
                "INSERT INTO plays (listener, title) VALUES (1, %s) RETURNING id", title
            )
            self.rows[row[0]] = title
        elif action == 1:
            self.execute("UPDATE plays SET title = %s WHERE id = %s RETURNING id", title, id_)
            self.rows[id_] = title
        elif action == 2 and len(self.rows) > 100:
            self.execute("DELETE FROM plays WHERE id = %s RETURNING id", id_)
            del self.rows[id_]
        else:
            row = self.execute("SELECT * FROM plays WHERE id = %s", id_)
            assert self.rows[id_] in row

    def execute(self, query: str, *values: object) -> tuple[Any, ...]:
        """Return the one row of a prepared statement."""
        row = self.database.execute(query.encode(), values, prepare=True).fetchone()
        assert row is not None, f"{query}: no such row {values}"
        return row


def disturb(database: psycopg.Connection, over: threading.Event) -> None:
    """Hold the table, and the one that it points at, in transactions that take their time."""
    while not over.wait(0.4):
        with database.transaction():
            database.execute("UPDATE listeners SET name = 'x' WHERE id = 9")
            database.execute("SELECT pg_sleep(0.2)")
            database.execute("SELECT count(*) FROM plays")
            database.execute("SELECT pg_sleep(1)")


def test_writers_notice_nothing(
    plays: psycopg.Connection, empty_database_url: URL, connect: Connect, apply: Apply
) -> None:
    plays.execute(
        "TRUNCATE plays; ALTER TABLE plays DISABLE TRIGGER USER; "
        "INSERT INTO plays (at, listener, title) SELECT now() - i * interval '1 minute', 2, 'a' "
        "FROM generate_series(1, 6000) AS i"
    )
    ids = [row[0] for row in plays.execute("SELECT id FROM plays ORDER BY id")]
    writers = [Writer(connect(empty_database_url), ids[i::4]) for i in range(4)]
    slow, over = connect(empty_database_url), threading.Event()

    def step(op: Any) -> None:
        with bound(op.get_bind(), LockPolicy(timeout=TIMEOUT, longest_pause=0.3), None):
            for change in (partition, unpartition, partition):
                change(op)
                time.sleep(0.5)

    with ThreadPoolExecutor() as pool:
        disturbing = pool.submit(disturb, slow, over)
        for writer in writers:
            writer.start()
        try:
            time.sleep(0.5)
            apply(step)
            time.sleep(0.5)
        finally:
            for writer in writers:
                writer.over.set()
                writer.join()
            over.set()
        disturbing.result()
    assert [writer.error for writer in writers] == [None] * 4
    believed = {id_: title for writer in writers for id_, title in writer.rows.items()}
    assert dict(plays.execute("SELECT id, title FROM plays").fetchall()) == believed
    assert len(parts(plays)) == 4
    assert min(writer.done for writer in writers) > 100
    stall = max(writer.longest for writer in writers)
    print(f"{sum(writer.done for writer in writers)} statements, the longest {stall:.3f} s")
    assert stall < TIMEOUT + 0.1 + 0.4
    plays.execute(BEYOND)
    where = "SELECT tableoid::regclass::text FROM plays ORDER BY at DESC LIMIT 1"
    assert one(plays, where) in {name for name, _ in parts(plays) if "_from_" in name}


def test_a_lock_that_is_never_had_leaves_nothing_behind(
    plays: psycopg.Connection,
    empty_database_url: URL,
    connect: Connect,
    apply: Apply,
    schema_of: SchemaOf,
) -> None:
    before = schema_of(empty_database_url)
    holder = connect(empty_database_url)

    def step(op: Any) -> None:
        with bound(op.get_bind(), LockPolicy(timeout=0.05, deadline=0.5), None):
            partition(op)

    with holder.transaction():
        holder.execute("INSERT INTO listeners VALUES (10, 'x')")  # which `plays` points at
        with pytest.raises(MigrationError, match="No lock within"):
            apply(step)
    assert schema_of(empty_database_url) == before
