"""A change of type while others read and write: who waits for whom, and how long."""

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, Connection

from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy, bound, driver
from pgmodern.operations import change_column_type
from tests.operations.change_column_type.songs import (
    LIGHT,
    OLD,
    THERE,
    VIBE,
    WRONG,
    Apply,
    Connect,
    columns,
)


@pytest.mark.vector
def test_it_goes_on_under_writers_who_notice_nothing(
    empty_database_url: URL, vibes: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    vibes.execute("ALTER TABLE songs ALTER vibe SET STORAGE EXTERNAL")
    vibes.execute("CREATE INDEX by_vibe ON songs (vibe)")
    vibes.execute(
        "INSERT INTO songs (title, vibe) SELECT 'b', ARRAY[i,2,3,4,5,6,7,8] "
        "FROM generate_series(1, 4000) AS i"
    )
    stop, writers = threading.Event(), [connect(empty_database_url) for _ in range(3)]

    def write(number: int, writer: psycopg.Connection) -> tuple[int, float]:
        """Insert, update and delete, until told to stop; return how often, and the longest."""
        chance, longest, count = random.Random(number), 0.0, 0
        while not stop.is_set():
            value = [float(chance.randrange(100)) for _ in range(8)]
            row = {"vibe": chance.choice([value, value, None]), "id": chance.randrange(1, 5200)}
            started = time.monotonic()
            writer.execute("INSERT INTO songs (title, vibe) VALUES ('new', %(vibe)s)", row)
            writer.execute("UPDATE songs SET vibe = %(vibe)s WHERE id = %(id)s", row)
            writer.execute("UPDATE songs SET title = 'c' WHERE id = %(id)s + 1", row)
            writer.execute("DELETE FROM songs WHERE id = %(id)s - 1", row)
            longest, count = max(longest, time.monotonic() - started), count + 4
        return count, longest

    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write, *each) for each in enumerate(writers)]
        try:
            apply(VIBE)
            assert columns(vibes)["vibe"] == "vector(8)"
            vibes.execute("SELECT pg_sleep(0.3)")
        finally:
            stop.set()
        written = [each.result() for each in writing]
    assert vibes.execute(WRONG.format(old=OLD).encode()).fetchone() == (0,)
    sums = vibes.execute(
        "SELECT md5(string_agg(id || vibe::text, ',' ORDER BY id)), md5(string_agg(id || "
        f"{OLD}::vector(8)::text, ',' ORDER BY id)) FROM songs".encode()
    ).fetchone()
    assert sums is not None
    assert sums[0] == sums[1]
    assert min(count for count, _ in written) > 40
    assert max(longest for _, longest in written) < LockPolicy().timeout + 0.1 + 0.5


def test_the_swap_does_not_read_the_table(
    database: psycopg.Connection, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(LIGHT)
    said: list[str] = []
    swap = change_column_type._swap

    def note(told: psycopg.errors.Diagnostic) -> None:
        said.append(told.message_primary or "")

    def noted(connection: Connection, *arguments: Any) -> None:
        driver(connection).execute("SET client_min_messages = debug1")
        driver(connection).add_notice_handler(note)
        swap(connection, *arguments)
        driver(connection).remove_notice_handler(note)

    monkeypatch.setattr(change_column_type, "_swap", noted)
    apply(THERE)
    apply(lambda op: op.change_column_type_online("songs", "id", "int", using="id::int"))
    assert columns(database)["plays"] == "bigint"
    assert columns(database)["id"] == "integer"
    assert [each for each in said if re.match('(verifying|rewriting) table "songs"', each)] == []
    proven = [each for each in said if "sufficient to prove" in each and '"songs.' in each]
    assert len(proven) >= 2


@pytest.mark.vector
def test_it_gives_way_to_a_transaction_that_reads_the_table(
    empty_database_url: URL,
    vibes: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    reader = connect(empty_database_url)
    reader.execute("SET statement_timeout = '5s'")
    with ThreadPoolExecutor() as pool:
        with vibes.transaction():
            vibes.execute("SELECT FROM songs")
            changing = pool.submit(apply, VIBE)
            blocked(empty_database_url)
            reader.execute("SELECT FROM songs")
            reader.execute("UPDATE songs SET title = 'b' WHERE id = 3")
        changing.result()
    assert vibes.execute(WRONG.format(old=OLD).encode()).fetchone() == (0,)


@pytest.mark.vector
def test_the_swap_gives_way_to_a_transaction_that_reads_the_table(
    empty_database_url: URL,
    vibes: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swap = change_column_type._swap
    reader = connect(empty_database_url)
    reader.execute("SET statement_timeout = '5s'")

    def held(*arguments: Any) -> None:
        with ThreadPoolExecutor() as pool:
            with vibes.transaction():
                vibes.execute("SELECT FROM songs")
                swapping = pool.submit(swap, *arguments)
                blocked(empty_database_url)
                reader.execute("SELECT FROM songs")
                reader.execute("UPDATE songs SET title = 'b' WHERE id = 3")
            swapping.result()

    monkeypatch.setattr(change_column_type, "_swap", held)
    apply(VIBE)
    assert vibes.execute(WRONG.format(old=OLD).encode()).fetchone() == (0,)


def test_the_swap_gives_way_to_who_comes_from_the_table_it_points_at(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database.execute(LIGHT)
    swap, writer = change_column_type._swap, connect(empty_database_url)
    writer.execute("SET deadlock_timeout = '300ms'")

    def crossed(*arguments: Any) -> None:
        with ThreadPoolExecutor() as pool:
            with writer.transaction():
                writer.execute("UPDATE labels SET id = id WHERE id = 3")
                swapping = pool.submit(swap, *arguments)
                blocked(empty_database_url)
                writer.execute("UPDATE songs SET title = 'b' WHERE id = 3")
            swapping.result()

    monkeypatch.setattr(change_column_type, "_swap", crossed)
    apply(THERE)
    assert columns(database)["plays"] == "bigint"


def test_it_stops_at_the_deadline_and_is_in_nobodys_way(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database.execute(LIGHT)
    swap = change_column_type._swap
    holder = connect(empty_database_url)

    def held(connection: Connection, *arguments: Any) -> None:
        with holder.transaction(), bound(connection, LockPolicy(0.05, deadline=0.2), None):
            holder.execute("SELECT FROM songs")
            swap(connection, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(change_column_type, "_swap", held)
        with pytest.raises(MigrationError, match="No lock within"):
            apply(THERE)
    assert columns(database)["plays"] == "integer"
    made = database.execute("SELECT count(*) FROM pg_constraint WHERE conname LIKE 'pgmodern%'")
    assert made.fetchone() == (0,)
    apply(THERE)
    assert columns(database)["plays"] == "bigint"
