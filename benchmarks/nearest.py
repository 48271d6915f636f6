"""How fast the nearest neighbours of a vector are found, and how many of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Engine, Text, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateTable

from benchmarks.database import build, megabytes, settle
from benchmarks.dataset import Dataset
from benchmarks.latency import timed
from benchmarks.report import Figure, Report
from pgmodern.indexes import HnswIndex
from pgmodern.repositories import VectorRepository
from pgmodern.types import Vector

SEED = 5
DIMENSIONS, K = 384, 10
QUERIES, BASELINE_QUERIES, FILTERED_QUERIES = 1_000, 50, 200
BUCKETS = 10_000
SELECTED = (0.5, 0.1, 0.01, 0.001)
EF_SEARCH = 120
BREADTHS = (40, 80, 160, 320)
BUILD_MEMORY = "1GB"  # the graph must fit, or the build goes to disk and takes many times as long

Vectors = NDArray[np.float32]


class Base(DeclarativeBase):
    """The metadata of an application that is not ours."""


class Recording(Base):
    """A track with its embedding; `bucket` is random, for filters of a known selectivity."""

    __tablename__ = "recordings"

    id: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(Text)
    embedding: Mapped[Vectors] = mapped_column(Vector(DIMENSIONS))

    embedding_hnsw = HnswIndex("ix_recordings_embedding", embedding, as_halfvec=True)


@dataclass(frozen=True, slots=True)
class RecordingHit:
    """A recording that is near."""

    id: int
    name: str
    score: float


class RecordingRepository(VectorRepository[RecordingHit]):
    """Recordings by what they sound like."""

    row, payload = RecordingHit, select(Recording.id, Recording.name)
    vectors = Recording.embedding_hnsw
    stored, unique = ("id", "bucket", "name", "embedding"), ("id",)


@dataclass(frozen=True, slots=True)
class Split:
    """The vectors that are loaded, by row, and those that are asked for."""

    rows: NDArray[np.int64]
    buckets: NDArray[np.int64]
    loaded: Vectors
    asked: Vectors


def held_out(vectors: Vectors) -> Split:
    """Keep some real vectors out of the table, to ask for: none finds itself."""
    chance = np.random.default_rng(SEED)
    order = chance.permutation(len(vectors))
    asked, rows = order[:QUERIES], np.sort(order[QUERIES:])
    buckets = chance.integers(BUCKETS, size=len(rows))
    return Split(rows, buckets, vectors[rows], vectors[asked])


def exact(split: Split, queries: Vectors, kept: NDArray[np.bool_] | None = None) -> list[set[int]]:
    """Return the ids of the truly nearest, by cosine, of all vectors or of those kept."""
    rows, loaded = split.rows, split.loaded
    if kept is not None:
        rows, loaded = rows[kept], loaded[kept]
    unit = loaded / np.linalg.norm(loaded, axis=1, keepdims=True)
    likeness = queries @ unit.T  # the length of a query does not change its order
    best = np.argpartition(-likeness, K, axis=1)[:, :K]
    return [set(map(int, rows[each])) for each in best]


def recall(found: Sequence[Sequence[int]], truth: Sequence[set[int]]) -> float:
    """Return which part of the truly nearest was found."""
    return sum(len(t.intersection(f)) for f, t in zip(found, truth, strict=True)) / (K * len(truth))


def load(engine: Engine, split: Split, names: Sequence[str]) -> tuple[float, float]:
    """Store the vectors, then build the index; return the seconds that each took.

    Nothing, unless another question has.
    """
    if inspect(engine).has_table(Recording.__tablename__):
        return 0.0, 0.0
    with engine.begin() as connection:
        connection.execute(CreateTable(Recording.__table__))  # type: ignore[arg-type]
    started = time.perf_counter()
    with Session(engine) as session:
        RecordingRepository(session).store(
            (int(row), int(bucket), names[row], vector)
            for row, bucket, vector in zip(split.rows, split.buckets, split.loaded, strict=True)
        )
        session.commit()
    loading = time.perf_counter() - started
    building = build(engine, Recording.embedding_hnsw, BUILD_MEMORY)
    with engine.begin() as connection:
        for index in Recording.__table__.indexes:  # type: ignore[attr-defined]
            if not isinstance(index, HnswIndex):
                index.create(connection)
    settle(engine, Recording.__tablename__)
    return loading, building


def ids(
    session: Session,
    vector: Vectors,
    *where: ColumnElement[bool],
    k: int = K,
    ef_search: int = EF_SEARCH,
) -> list[int]:
    """Search as an application does."""
    found = RecordingRepository(session).nearest(vector, k, *where, ef_search=ef_search)
    return [hit.id for hit in found]


def ids_exactly(
    session: Session, vector: Vectors, *where: ColumnElement[bool], k: int = K
) -> list[int]:
    """Search without an index: the distance of every vector."""
    index = Recording.embedding_hnsw
    distance = index.distance(index.literal(vector)) + 0  # so that it is not the index's order
    return list(session.scalars(select(Recording.id).where(*where).order_by(distance).limit(k)))


def whole_table(engine: Engine, split: Split) -> list[Figure]:
    """Measure the nearest of all."""
    queries = list(split.asked)
    ours = timed(engine, queries, ids)
    scan = timed(engine, queries[:BASELINE_QUERIES], ids_exactly)
    truth = exact(split, split.asked)
    return [
        Figure(
            f"recall@{K}",
            recall(ours.results, truth),
            "",
            recall(scan.results, truth[:BASELINE_QUERIES]),
            at_least=0.95,
        ),
        Figure("p50", ours.p50, "ms", scan.p50),
        Figure("p95", ours.p95, "ms", scan.p95, at_most=10),
    ]


def with_breadth(engine: Engine, split: Split, breadth: int) -> list[Figure]:
    """Measure what another ef_search gains and costs."""
    ours = timed(
        engine,
        list(split.asked[:FILTERED_QUERIES]),
        lambda session, vector: ids(session, vector, ef_search=breadth),
    )
    truth = exact(split, split.asked[:FILTERED_QUERIES])
    return [
        Figure(f"ef_search {breadth}: recall@{K}", recall(ours.results, truth), ""),
        Figure(f"ef_search {breadth}: p95", ours.p95),
    ]


def filtered(engine: Engine, split: Split, part: float) -> list[Figure]:
    """Measure the nearest among a random part of the rows."""
    bound = round(part * BUCKETS)
    condition = Recording.bucket < bound
    queries = list(split.asked[:FILTERED_QUERIES])
    ours = timed(engine, queries, lambda session, vector: ids(session, vector, condition))
    scan = timed(
        engine,
        queries[:BASELINE_QUERIES],
        lambda session, vector: ids_exactly(session, vector, condition),
    )
    truth = exact(split, split.asked[:FILTERED_QUERIES], split.buckets < bound)
    fewest = min(len(found) for found in ours.results)
    what = f"of {part:.1%}"
    return [
        Figure(f"{what}: p50", ours.p50, "ms", scan.p50),
        Figure(f"{what}: p95", ours.p95, "ms", scan.p95),
        Figure(f"{what}: recall@{K}", recall(ours.results, truth), ""),
        Figure(f"{what}: fewest rows returned", fewest, "rows", at_least=K),
    ]


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure load, build, recall and latency, against an exact scan."""
    split = held_out(dataset.vectors())
    songs = dataset.tracks()
    names = [f"{song.title} - {song.artist}" for song in songs]
    loading, building = load(engine, split, names)
    figures = whole_table(engine, split)
    for breadth in BREADTHS:
        figures += with_breadth(engine, split, breadth)
    for part in SELECTED:
        figures += filtered(engine, split, part)
    figures += [
        Figure("load by VectorRepository.store", loading, "s"),
        Figure("build of the index", building, "s"),
        Figure("table", megabytes(engine, Recording.__tablename__), "MB"),
        Figure("index", megabytes(engine, str(Recording.embedding_hnsw.name)), "MB"),
    ]
    return Report(
        f"nearest: the {K} nearest of {len(split.rows):,} vectors",
        "exact scan",
        figures,
        [
            f"{len(songs):,} real vectors of {DIMENSIONS} dimensions. {QUERIES:,} are held out of "
            f"the table and asked for, {BASELINE_QUERIES} of them of the baseline, "
            f"{FILTERED_QUERIES} with a filter or another ef_search; seed {SEED}.",
            "Recall is of the rows that an exact search finds (numpy, float32). HNSW as halfvec, "
            f"m = 16, ef_construction = 128, ef_search = {EF_SEARCH}; built with "
            f"maintenance_work_mem = {BUILD_MEMORY}.",
        ],
    )
