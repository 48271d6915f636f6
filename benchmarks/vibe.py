"""Samples by vibe: an index, against fetching every array and comparing in Python."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import adapters
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks.apart import apart
from benchmarks.database import BUILD_MEMORY, administer, copy, megabytes, migrate, settle
from benchmarks.dataset import Dataset
from benchmarks.latency import Timed, timed
from benchmarks.report import Figure, Report
from pgmodern.engine import create_engine
from pgmodern.locks import driver
from pgmodern.reference.audio import Sample, SampleEmbedding, SampleRepository, VibeAnalysis
from pgmodern.reference.audio.models import EMBEDDING_DIMENSIONS

SEED, K = 11, 10
SAMPLES, QUERIES, BASELINE_QUERIES = 100_000, 200, 2
# The revisions before and after the change of type, and after the build of the indexes.
LEGACY, CHANGED, INDEXED = "0017", "0018", "0019"
GENRES = 100
FILTERS: dict[str, dict[str, Any]] = {
    "bpm 80 to 100 (17 % pass)": {"bpm_min": 80, "bpm_max": 100},
    "a genre of 100 (1 % pass)": {"genre": "genre 7"},
    "both (0.2 % pass)": {"genre": "genre 7", "bpm_min": 80, "bpm_max": 100},
}
FETCHED_AT_ONCE = 1_000

Vectors = NDArray[np.float64]
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f8")])
_ROW = np.dtype(
    [
        *((name, ">i2" if name == "fields" else ">i4") for name in ("fields", "id_length", "id")),
        *((name, ">i4") for name in ("length", "axes", "nulls", "type", "size", "first")),
        ("elements", _ELEMENT, (EMBEDDING_DIMENSIONS,)),
    ]
)


class Known:
    """A model that has embedded the queries already: a text is the number of one."""

    model_name = "known"

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors.astype(np.float32)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of these numbers."""
        return self.vectors[[int(each) for each in texts]]


def turned(vectors: NDArray[np.float32]) -> Vectors:
    """Turn vectors into the column's dimensions: every cosine stays, and no number is a zero."""
    chance = np.random.default_rng(SEED)
    square = chance.normal(size=(EMBEDDING_DIMENSIONS, vectors.shape[1]))
    found: Vectors = vectors @ np.linalg.qr(square).Q.T
    return found


def load(engine: Engine, vectors: Vectors) -> float:
    """Load samples with their arrays by COPY in binary; return the seconds that the arrays took."""
    chance = np.random.default_rng(SEED)
    bpm = chance.uniform(60, 180, size=len(vectors))
    genres = chance.integers(GENRES, size=len(vectors))
    samples = (
        (number, f"Loop {number}", f"genre {genre}", float(tempo))
        for number, (genre, tempo) in enumerate(zip(genres, bpm, strict=True))
    )
    copy(engine, "samples", ["id", "title", "genre", "bpm"], samples)
    started = time.perf_counter()
    load_arrays(engine, vectors, 0)
    loaded = time.perf_counter()
    settle(engine, "samples", "sample_embeddings")
    return loaded - started


def load_arrays(engine: Engine, vectors: Vectors, first: int) -> None:
    """Load the arrays of samples, numbered from `first` on, as they are stored today."""
    statement = b"COPY sample_embeddings (sample_id, vibe_vector) FROM STDIN (FORMAT BINARY)"
    with (
        engine.begin() as connection,
        driver(connection).cursor() as cursor,
        cursor.copy(statement) as stream,
    ):
        stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for part in _rows(vectors, first):
            stream.write(part)
        stream.write(b"\xff\xff")


def _rows(vectors: Vectors, first_id: int) -> Iterator[bytes]:
    """Yield rows as COPY takes them (manual, COPY, binary format; array_recv)."""
    for first in range(0, len(vectors), FETCHED_AT_ONCE):
        part = vectors[first : first + FETCHED_AT_ONCE]
        rows = np.zeros(len(part), _ROW)
        rows["fields"], rows["id_length"], rows["axes"], rows["first"] = 2, 4, 1, 1
        rows["id"] = np.arange(first_id + first, first_id + first + len(part))
        rows["length"], rows["type"] = 20 + _ELEMENT.itemsize * EMBEDDING_DIMENSIONS, 701
        rows["size"] = EMBEDDING_DIMENSIONS
        rows["elements"]["length"], rows["elements"]["value"] = 8, part
        yield rows.tobytes()


class _Array(Loader):
    """Decodes an array of numbers as fast as can be; drivers make a list of it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Vectors:
        """Return the numbers (array_send)."""
        numbers: Vectors = np.frombuffer(data, _ELEMENT, offset=20)["value"]
        return numbers


def in_python(engine: Engine, asked: Vectors) -> Timed[list[int]]:
    """Search as the application does today, but by a cursor and without lists of numbers."""

    def nearest(session: Session, vector: Vectors) -> list[int]:
        count = int(session.scalar(text("SELECT count(*) FROM sample_embeddings")) or 0)
        every, ids = np.empty((count, EMBEDDING_DIMENSIONS)), np.empty(count, dtype=np.int64)
        with driver(session.connection()).cursor("every", binary=True) as cursor:
            cursor.adapters.register_loader(adapters.types["float8"].array_oid, _Array)
            cursor.itersize = FETCHED_AT_ONCE
            cursor.execute("SELECT sample_id, vibe_vector FROM sample_embeddings")
            row: Any
            for place, row in enumerate(cursor):
                ids[place], every[place] = row
        likeness = every @ vector / np.linalg.norm(every, axis=1) / np.linalg.norm(vector)
        return [int(ids[place]) for place in np.argsort(-likeness)[:K]]

    return timed(engine, list(asked[:BASELINE_QUERIES]), nearest)


def by_index(engine: Engine, asked: Vectors, **filters: Any) -> Timed[list[int]]:
    """Search as the repository does; without a threshold, so that recall is of ten."""
    model = Known(asked)

    def nearest(session: Session, number: int) -> list[int]:
        repository = SampleRepository(session, model)
        found = repository.search_by_vibe(str(number), K, threshold=0, **filters)
        return [hit.sample_id for hit in found]

    return timed(engine, range(len(asked)), nearest)


def recall(found: Sequence[list[int]], asked: Vectors, loaded: Vectors) -> float:
    """Return which part of the truly nearest was found."""
    unit = loaded / np.linalg.norm(loaded, axis=1, keepdims=True)
    best = np.argpartition(-(asked[: len(found)] @ unit.T), K, axis=1)[:, :K]
    hits = sum(len(set(map(int, b)) & set(f)) for b, f in zip(best, found, strict=True))
    return hits / (K * len(found))


def filtered(engine: Engine, asked: Vectors) -> list[Figure]:
    """Measure the nearest of those that pass, then once more without the filters' indexes."""
    figures, ours = [], _filtered(engine, asked)
    with engine.begin() as connection:
        for index in (*Sample.__table__.indexes, *VibeAnalysis.__table__.indexes):  # type: ignore[attr-defined]
            index.drop(connection)
    bare = _filtered(engine, asked)
    for what, found in ours.items():
        fewest = min(len(each) for each in found.results)
        figures += [
            Figure(f"{what}: p50", found.p50),
            Figure(f"{what}: p95", found.p95),
            Figure(f"{what}: p50 without the filters' indexes", bare[what].p50),
            Figure(f"{what}: fewest rows", fewest, "rows", at_least=K),
        ]
    return figures


def _filtered(engine: Engine, asked: Vectors) -> dict[str, Timed[list[int]]]:
    return {what: by_index(engine, asked, **filters) for what, filters in FILTERS.items()}


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure both ways on 100,000 samples, and the migration between them."""
    vectors = dataset.vectors()
    order = np.random.default_rng(SEED).permutation(len(vectors))[: SAMPLES + QUERIES]
    every = turned(vectors[order])
    loaded, asked = every[:SAMPLES], every[SAMPLES:]
    administer(engine, "CREATE DATABASE vibe")
    url = engine.url.set(database="vibe")
    migrate(url, LEGACY, **BUILD_MEMORY)
    vibe = create_engine(url)
    loading = load(vibe, loaded)
    today, memory_today = apart(url, in_python, asked)
    arrays = megabytes(vibe, "sample_embeddings")
    changing, building = (migrate(url, revision, **BUILD_MEMORY) for revision in (CHANGED, INDEXED))
    migrate(url, "head", **BUILD_MEMORY)
    settle(vibe, "samples", "vibe_analysis", "sample_embeddings")
    ours, memory = apart(url, by_index, asked)
    figures = [
        Figure("p50", ours.p50, "ms", today.p50),
        Figure("p95", ours.p95, "ms", today.p95),
        Figure("peak of resident memory", memory, "MB", memory_today),
        Figure(
            f"recall@{K}",
            recall(ours.results, asked, loaded),
            "",
            recall(today.results, asked, loaded),
            at_least=0.95,
        ),
    ]
    figures += filtered(vibe, asked)
    figures += [
        Figure("load of the arrays by COPY in binary", loading, "s"),
        Figure("change of the type", changing, "s"),
        Figure("the same", int(SAMPLES / changing), "rows/s"),
        Figure("build of the indexes", building, "s"),
        Figure("arrays", arrays, "MB"),
        Figure("arrays and vectors", megabytes(vibe, "sample_embeddings"), "MB"),
        Figure("index", megabytes(vibe, str(SampleEmbedding.vibe_hnsw.name)), "MB"),
    ]
    vibe.dispose()
    return Report(
        f"vibe: the {K} most similar of {SAMPLES:,} samples",
        "every array fetched, cosine in numpy",
        figures,
        [
            f"Real vectors of 384 dimensions, turned into {EMBEDDING_DIMENSIONS:,} by a random "
            f"isometry, which keeps every cosine; {QUERIES} held out and asked for, "
            f"{BASELINE_QUERIES} of them of the baseline; seed {SEED}. Tempo and genre are random.",
            f"The baseline fetches by a server-side cursor, {FETCHED_AT_ONCE:,} rows at a time, "
            "and has numpy decode the binary format into one array: a fraction of the time and "
            "memory that lists take. Each way runs in a process of its own. The change of type "
            "looks at every row first, then fills and swaps while the table can be written; it "
            "rests for a fifth of the time.",
        ],
    )
