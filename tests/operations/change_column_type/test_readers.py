"""What an application that reads through our engine sees of a change of type: one retry."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import psycopg
import pytest
from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import NotSupportedError

from pgmodern.engine import create_engine
from tests.operations.indexes import Apply

Connect = Callable[[URL], psycopg.Connection]


def read(engine: Engine, query: str, stop: threading.Event) -> list[bool]:
    """Read until told to stop; return whether each transaction had an answer."""
    answered: list[bool] = []
    while not stop.is_set():
        try:
            with engine.begin() as connection:
                for key in range(1, 6):
                    connection.execute(text(query), {"key": key})
        except NotSupportedError:
            answered.append(False)
        else:
            answered.append(True)
    return answered


@pytest.mark.parametrize("query", ["SELECT id, title FROM songs", "SELECT * FROM songs"])
def test_a_reader_that_tries_again_has_its_answer(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    query: str,
) -> None:
    database.execute("INSERT INTO songs (title) SELECT 'a' || i FROM generate_series(1, 900) AS i")
    engine, stop = create_engine(empty_database_url, pool_size=3), threading.Event()
    writer = connect(empty_database_url)

    def write() -> int:
        written = 0
        while not stop.is_set():
            writer.execute("UPDATE songs SET title = title || '!' WHERE id = %s", [written % 900])
            written += 1
        return written

    with ThreadPoolExecutor() as pool:
        found = f"{query} WHERE id = :key"
        reading = [pool.submit(read, engine, found, stop) for _ in range(3)]
        writing = pool.submit(write)
        try:
            database.execute("SELECT pg_sleep(0.5)")
            apply(lambda op: op.change_column_type_online("songs", "title", "varchar(4000)"))
            database.execute("SELECT pg_sleep(0.5)")
        finally:
            stop.set()
        answers = [each.result() for each in reading]
    engine.dispose()
    assert writing.result() > 10
    assert any(False in each for each in answers)
    for each in answers:
        assert (False, False) not in set(pairwise(each))
        assert each[-1]
