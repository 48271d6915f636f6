"""How fast embeddings come in, and what a million rows that pass through take of memory."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pgvector
from numpy.typing import NDArray
from psycopg.types.numeric import Int8
from sqlalchemy import BigInteger, DateTime, Engine, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.apart import apart
from benchmarks.database import administer
from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from pgmodern.indexes import HnswIndex, JsonbIndex
from pgmodern.locks import driver
from pgmodern.repositories import BulkRepository, DocumentRepository, VectorRepository, load
from pgmodern.types import Vector

SEED, DIMENSIONS = 9, 1536
ROWS, INDEXED_ROWS, STREAMED = 60_000, 6_000, 1_000_000
PER_SECOND, OF_BARE, MEMORY = 25_000, 0.6, 200
FIRST = datetime(2020, 1, 1, tzinfo=UTC)

Vectors = NDArray[np.float32]


class Base(DeclarativeBase):
    """The metadata of an application that is not ours."""


class Passage(Base):
    """A text's embedding."""

    __tablename__ = "passages"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    embedding: Mapped[Vectors] = mapped_column(Vector(DIMENSIONS))

    hnsw = HnswIndex("ix_passages_embedding", embedding)


class Note(Base):
    """A small document."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)

    holds = JsonbIndex("ix_notes_body", body)


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found."""

    id: int
    content: Any


class PassageRepository(VectorRepository[Hit]):
    """Passages by what they mean."""

    row, payload = Hit, select(Passage.id, Passage.embedding)
    vectors = Passage.hnsw
    stored, unique = ("id", "embedding"), ("id",)


class NoteRepository(DocumentRepository[Hit], BulkRepository):
    """Notes, the newest first; stored in bulk."""

    row, payload = Hit, select(Note.id, Note.body)
    document, newest_first = Note.holds, (Note.created_at, Note.id)
    table = Base.metadata.tables["notes"]
    stored, unique = ("id", "created_at", "body"), ("id",)


def emptied(engine: Engine, *, indexed: bool) -> None:
    """Leave an empty table, with the graph or without."""
    administer(engine, "DROP TABLE IF EXISTS passages", "CHECKPOINT")
    with engine.begin() as connection:
        Passage.__table__.create(connection)  # type: ignore[attr-defined]
        if not indexed:
            Passage.hnsw.drop(connection)


def rate(rows: int, store: Callable[[], object]) -> float:
    """Return how many rows a second were stored."""
    started = time.perf_counter()
    store()
    return rows / (time.perf_counter() - started)


def bare_copy(engine: Engine, vectors: Vectors) -> None:
    """COPY into the table itself, in binary, as psycopg does it."""
    statement = b"COPY passages FROM STDIN (FORMAT BINARY)"
    with (
        engine.begin() as connection,
        driver(connection).cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for number, vector in enumerate(vectors):
            copy.write_row((Int8(number), pgvector.Vector(vector)))


def one_by_one(engine: Engine, vectors: Vectors) -> None:
    """Have SQLAlchemy insert mapped objects, as applications do."""
    with Session(engine) as session:
        session.add_all(Passage(id=n, embedding=vector) for n, vector in enumerate(vectors))
        session.commit()


def loads(engine: Engine) -> list[Figure]:
    """Measure loads without the graph, and with it: grown, and deferred."""
    vectors = np.random.default_rng(SEED).normal(size=(ROWS, DIMENSIONS)).astype(np.float32)
    few = vectors[:INDEXED_ROWS]

    def ours(some: Vectors, **more: Any) -> Callable[[], object]:
        return lambda: load(engine, PassageRepository, enumerate(some), **more)

    ways: dict[str, tuple[int, bool, Callable[[], object]]] = {
        "bare": (ROWS, False, lambda: bare_copy(engine, vectors)),
        "orm": (INDEXED_ROWS, False, lambda: one_by_one(engine, few)),
        "new": (ROWS, False, ours(vectors)),
        "grown": (INDEXED_ROWS, True, ours(few)),
        "deferred": (INDEXED_ROWS, True, ours(few, defer=[Passage.hnsw])),
    }
    found = {}
    # A server that runs has its WAL files and need not make them: once before anything counts.
    emptied(engine, indexed=False)
    bare_copy(engine, vectors)
    for what, (rows, indexed, store) in ways.items():
        emptied(engine, indexed=indexed)
        found[what] = rate(rows, store)
        if what == "new":
            found["again"] = rate(rows, store)
    part = found["new"] / found["bare"]
    return [
        Figure("new rows, beside COPY alone", found["new"], "rows/s", found["bare"]),
        Figure("new rows, beside mapped objects", found["new"], "rows/s", found["orm"]),
        Figure("new rows a second", found["new"], "rows/s", at_least=PER_SECOND),
        Figure("part of what COPY alone does", part, "x", at_least=OF_BARE),
        Figure("rows that are there already", found["again"], "rows/s"),
        Figure("into a graph, deferred, beside grown", found["deferred"], "rows/s", found["grown"]),
    ]


def notes() -> Iterator[tuple[int, datetime, dict[str, Any]]]:
    """Make a million rows, one at a time."""
    for number in range(STREAMED):
        body = {"text": f"note {number}", "kind": number % 100}
        yield number, FIRST + timedelta(seconds=number), body


def stored(engine: Engine) -> int:
    """Store a stream in batches."""
    return load(engine, NoteRepository, notes())


def stored_whole(engine: Engine) -> int:
    """Store a stream by one COPY and one statement."""
    with Session(engine) as session:
        count = NoteRepository(session).store(notes())
        session.commit()
    return count


def paged(engine: Engine) -> int:
    """Read all, page by page."""
    count, after = 0, None
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        while True:
            page = NoteRepository(session).newest(1_000, after)
            count += len(page.rows)
            if page.after is None:
                return count
            after = page.after


def timed(engine: Engine, way: Callable[[Engine], int]) -> float:
    """Return how many seconds a million rows take."""
    started = time.perf_counter()
    count = way(engine)
    seconds = time.perf_counter() - started
    if count != STREAMED:
        raise RuntimeError(f"{way.__name__}: {count:,} of {STREAMED:,} rows")
    return seconds


def streams(engine: Engine) -> list[Figure]:
    """Let a million rows pass through, each way in a process of its own."""
    figures: list[Figure] = []
    ways: Iterable[tuple[str, Callable[[Engine], int], bool]] = (
        ("stored in batches", stored, True),
        ("paged", paged, False),
        ("stored by one COPY", stored_whole, True),
    )
    for what, way, anew in ways:
        if anew:
            administer(engine, "DROP TABLE IF EXISTS notes")
            with engine.begin() as connection:
                Note.__table__.create(connection)  # type: ignore[attr-defined]
                connection.execute(text("CREATE INDEX ON notes (created_at, id)"))
        seconds, memory = apart(engine.url, timed, way)
        figures += [
            Figure(f"{STREAMED:,} rows {what}: peak of memory", memory, "MB", at_most=MEMORY),
            Figure(f"{STREAMED:,} rows {what}", seconds, "s"),
        ]
    return figures


def ask(engine: Engine, _: Dataset) -> Report:
    """Measure loads, and streams."""
    return Report(
        "loading: embeddings that come in, and a million rows that pass through",
        "as said",
        loads(engine) + streams(engine),
        [
            f"{ROWS:,} random vectors of {DIMENSIONS} dimensions without a graph, "
            f"{INDEXED_ROWS:,} with one, and as mapped objects; batches of 10,000.",
        ],
    )
