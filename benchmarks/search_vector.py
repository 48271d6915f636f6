"""What FullTextIndex's stored column costs, and what it saves, beside the bare expression."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Engine, Text, select, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.database import copy, megabytes, settle
from benchmarks.dataset import Dataset, Song
from benchmarks.full_text import KINDS, Words, queries_from
from benchmarks.latency import Timed, timed
from benchmarks.report import Figure, Report
from pgmodern import backfill
from pgmodern.indexes import FullTextIndex
from pgmodern.indexes.fulltext import SIMPLE_UNACCENT
from pgmodern.locks import execute_briefly
from pgmodern.operations.search_vector import AddSearchVectorOnline
from pgmodern.repositories import SearchRepository

QUERIES = 1_200
INSERTED, REPETITIONS = 10_000, 3


class Base(DeclarativeBase):
    """The same songs three times over."""


class Plain(Base):
    """Songs without full-text search."""

    __tablename__ = "plain_songs"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    artist: Mapped[str] = mapped_column(Text)


class Stored(Base):
    """Songs whose search vector is a column, kept by a trigger."""

    __tablename__ = "stored_songs"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    artist: Mapped[str] = mapped_column(Text)
    search_vector: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)

    search = FullTextIndex(
        "ix_stored_songs_search", [(title, "A"), (artist, "B")], stored=search_vector
    )


class Parsed(Base):
    """Songs whose search vector is only in the index, on the expression."""

    __tablename__ = "parsed_songs"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    artist: Mapped[str] = mapped_column(Text)

    search = FullTextIndex("ix_parsed_songs_search", [(title, "A"), (artist, "B")])


@dataclass(frozen=True, slots=True)
class SongHit:
    """A song that a search found."""

    id: int
    title: str
    artist: str
    score: float
    highlight: str


class StoredRepository(SearchRepository[SongHit]):
    """Songs by the stored column."""

    row, payload = SongHit, select(Stored.id, Stored.title, Stored.artist)
    words = Stored.search


class ParsedRepository(SearchRepository[SongHit]):
    """Songs by the expression."""

    row, payload = SongHit, select(Parsed.id, Parsed.title, Parsed.artist)
    words = Parsed.search


def load(engine: Engine, model: type[Base], songs: Sequence[Song]) -> None:
    """Make the table as it is before there is any search, and fill it."""
    create = (
        f"CREATE TABLE {model.__tablename__} "
        "(id integer PRIMARY KEY, title text NOT NULL, artist text NOT NULL)"
    )
    with engine.begin() as connection:
        connection.execute(text(create))
    rows = ((number, song.title, song.artist) for number, song in enumerate(songs))
    copy(engine, model.__tablename__, ["id", "title", "artist"], rows)
    settle(engine, model.__tablename__)


def build_stored(engine: Engine) -> tuple[float, float]:
    """Do what `op.add_search_vector_online` does; return the seconds of backfill and index."""
    add = AddSearchVectorOnline(
        "stored_songs",
        "search_vector",
        {"title": "A", "artist": "B"},
        SIMPLE_UNACCENT,
        "id",
        "integer",
    )
    started = time.perf_counter()
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        execute_briefly(connection, *add.definitions())
        backfill.run(connection, add.backfill())
    filled = time.perf_counter()
    Stored.search.create(engine)
    return filled - started, time.perf_counter() - filled


def build_parsed(engine: Engine) -> float:
    """Build the index on the expression; return the seconds it took."""
    started = time.perf_counter()
    Parsed.search.create(engine)
    return time.perf_counter() - started


def insert(engine: Engine, model: type[Base]) -> float:
    """Return the milliseconds that one statement takes to insert 10,000 rows.

    What GIN puts off until a later vacuum, its pending list, is done and counted too.
    """
    index = getattr(model, "search", None)
    statement = text(
        f"INSERT INTO {model.__tablename__} (id, title, artist) "
        f"SELECT id + 1000000, title, artist FROM plain_songs ORDER BY id LIMIT {INSERTED}"
    )
    taken = []
    for _ in range(REPETITIONS):
        with engine.connect() as connection:
            started = time.perf_counter()
            connection.execute(statement)
            if index is not None:
                connection.execute(
                    text("SELECT gin_clean_pending_list(CAST(:name AS regclass))"),
                    {"name": index.name},
                )
            taken.append(time.perf_counter() - started)
            connection.rollback()
    return median(taken) * 1000


def latencies(engine: Engine, queries: Sequence[Words]) -> tuple[Timed[int], Timed[int]]:
    """Ask both the same; return the stored column's latencies, then the expression's."""

    def stored(session: Session, query: Words) -> int:
        return len(StoredRepository(session).full_text(query.typed))

    def parsed(session: Session, query: Words) -> int:
        return len(ParsedRepository(session).full_text(query.typed))

    return timed(engine, queries, stored), timed(engine, queries, parsed)


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Build both, ask both, insert into both."""
    songs = dataset.tracks()
    for model in (Plain, Stored, Parsed):
        load(engine, model, songs)
    (filling, indexing), parsing = build_stored(engine), build_parsed(engine)
    settle(engine, "stored_songs", "parsed_songs")
    queries = queries_from([song.title for song in songs], QUERIES)
    stored, parsed = latencies(engine, queries)
    figures = [
        Figure("ranked query, p50", stored.p50, "ms", parsed.p50),
        Figure("ranked query, p95", stored.p95, "ms", parsed.p95),
    ]
    for kind in KINDS:
        chosen = [query.kind == kind for query in queries]
        few, many = stored.of(chosen), parsed.of(chosen)
        figures.append(Figure(f"ranked query, p95, {kind}", few.p95, "ms", many.p95))
    names = (str(Stored.search.name), str(Parsed.search.name))
    figures += [
        Figure("table", *_megabytes(engine, "stored_songs", "parsed_songs")),
        Figure("index", *_megabytes(engine, *names)),
        Figure("build: column, trigger and backfill", filling, "s"),
        Figure("build: index", indexing, "s", parsing),
        Figure("build: all", filling + indexing, "s", parsing),
        Figure(f"insert {INSERTED:,} rows", insert(engine, Stored), "ms", insert(engine, Parsed)),
        Figure(f"insert {INSERTED:,} rows, no full text", insert(engine, Plain), "ms"),
    ]
    return Report(
        "search_vector: the stored column",
        "index on the expression",
        figures,
        [
            f"{len(songs):,} songs, title and artist; {QUERIES:,} queries, the same for both.",
            "The table is as the online migration leaves it: each row was updated once and VACUUM "
            "ran, so up to half of it is free space for rows to come.",
        ],
    )


def _megabytes(engine: Engine, stored: str, parsed: str) -> tuple[float, str, float]:
    return megabytes(engine, stored), "MB", megabytes(engine, parsed)
