"""What the indexes on messages cost whoever writes one."""

import json
import time
import uuid
from itertools import islice
from statistics import median
from typing import Any

from sqlalchemy import Connection, Engine, text

from benchmarks import conversations
from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from pgmodern.locks import driver

INSERTED, REPETITIONS = 10_000, 3
NO_WORDS = ("DROP INDEX ix_messages_search_vector", "ALTER TABLE messages DISABLE TRIGGER USER")
NO_METADATA = "DROP INDEX ix_messages_metadata"
TWICE = "CREATE INDEX twice ON messages (conversation_id, created_at DESC)"
# What is undone of the schema at head before the rows come in.
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it was: no GIN, an index there twice": (*NO_WORDS, NO_METADATA, TWICE),
    "no GIN, the duplicate dropped": (*NO_WORDS, NO_METADATA),
    "and GIN on metadata": NO_WORDS,
    "and the search vector, with no index": NO_WORDS[:1],
    "all: GIN on metadata and search vector": (),
}
_INSERT = """
    INSERT INTO messages (conversation_id, role, content, metadata, created_at)
    VALUES (%s, 'user', %s, %s::jsonb, now())
"""
_PENDING = """
    SELECT gin_clean_pending_list(indexrelid) FROM pg_index
    JOIN pg_class ON oid = indexrelid JOIN pg_am AS method ON method.oid = relam
    WHERE indrelid = 'messages'::regclass AND amname = 'gin'
"""


def insert(engine: Engine, undo: tuple[str, ...], rows: list[tuple[Any, ...]]) -> float:
    """Return how many rows a second one statement each inserts; all of it is rolled back.

    What GIN puts off until a later vacuum, its pending list, is done and counted too.
    """
    with engine.connect() as connection:
        for statement in undo:
            connection.execute(text(statement))
        taken = _timed(connection, rows)
        connection.rollback()
    return len(rows) / taken


def _timed(connection: Connection, rows: list[tuple[Any, ...]]) -> float:
    session = driver(connection)
    started = time.perf_counter()
    session.cursor().executemany(_INSERT.encode(), rows)
    session.execute(_PENDING.encode())
    return time.perf_counter() - started


def _rows(engine: Engine, dataset: Dataset) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        ids: list[uuid.UUID] = list(
            connection.scalars(text("SELECT id FROM conversations ORDER BY id"))
        )
    return [
        (ids[number % len(ids)], each.text, json.dumps({"model": "small", "trace": number}))
        for number, each in enumerate(islice(dataset.messages(), INSERTED))
    ]


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Insert the same rows under each variant of the schema, in turns."""
    conversations.load(engine, dataset)
    rows = _rows(engine, dataset)
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(REPETITIONS):
        for name, undo in VARIANTS.items():
            rates[name].append(insert(engine, undo, rows))
    (_, before), *_ = rates.items()
    figures = [Figure(name, median(each), "rows/s", median(before)) for name, each in rates.items()]
    return Report(
        "chat_writes: rows inserted a second",
        "as it was",
        figures,
        [
            f"{INSERTED:,} real messages into a table of 839,430, a statement each, in one "
            "transaction, pending lists included; the median of "
            f"{REPETITIONS} turns. A ratio above one is how many times slower it is.",
        ],
    )
