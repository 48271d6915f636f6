"""What a million vectors cost to index and to search, and how that grows from ten thousand."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import URL, BigInteger, Engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateTable

from benchmarks.database import ROOT, administer, build, megabytes, settle
from benchmarks.dataset import Dataset
from benchmarks.latency import WARM_UP, Timed
from benchmarks.load import begun_apart
from benchmarks.nearest import DIMENSIONS, K, Vectors, recall
from benchmarks.plot import Panel, draw, short
from benchmarks.report import Figure, Report
from pgmodern.engine import create_engine
from pgmodern.errors import VectorError
from pgmodern.indexes import HnswIndex
from pgmodern.repositories import VectorRepository, load
from pgmodern.tuning import tune
from pgmodern.types import Vector

SEED = 13
SIZES = (10_000, 100_000, 1_000_000)
CLIENTS = (1, 2, 8)
QUERIES, TUNED_ON = 400, 80
NOISE = 0.3  # its length, of the vector's: the cosine of the two is 0.96
RECALL, P95 = 0.95, 200
KILOBYTES_A_ROW, LEAST_MEGABYTES = 6, 64  # the graph must fit, or the build goes to disk
CHUNK = 50_000
PLOT = ROOT / "docs" / "performance.svg"


class Base(DeclarativeBase):
    """The metadata of an application that is not ours."""


class Clip(Base):
    """A piece of audio; of its indexes one is there at a time."""

    __tablename__ = "clips"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    embedding: Mapped[Vectors] = mapped_column(Vector(DIMENSIONS))

    whole = HnswIndex("ix_clips_vector", embedding)
    halved = HnswIndex("ix_clips_halfvec", embedding, as_halfvec=True)
    bits = HnswIndex("ix_clips_bits", embedding, quantised=True)


@dataclass(frozen=True, slots=True)
class ClipHit:
    """A clip that is near."""

    id: int
    score: float


class ClipRepository(VectorRepository[ClipHit]):
    """Clips by what they sound like."""

    row, payload = ClipHit, select(Clip.id)
    vectors = Clip.whole
    stored, unique = ("id", "embedding"), ("id",)


class HalvedRepository(ClipRepository):
    """The same by halved numbers."""

    vectors = Clip.halved


class BitsRepository(ClipRepository):
    """The same by signs, put in order by the whole vectors."""

    vectors = Clip.bits


WAYS: Mapping[str, type[ClipRepository]] = {
    "vector": ClipRepository,
    "halfvec": HalvedRepository,
    "bits and whole vectors": BitsRepository,
}
BASELINE = "vector"
DECLARED = {way: (each.vectors.ef_search, each.vectors.oversampling) for way, each in WAYS.items()}


@dataclass(frozen=True, slots=True)
class Search:
    """A way to search, and how broadly; it is sent to the clients."""

    way: str
    ef_search: int
    oversampling: int
    tuned: bool

    def ids(self, session: Session, vector: Vectors) -> list[int]:
        """Search as an application does."""
        found = WAYS[self.way](session).nearest(
            vector, K, ef_search=self.ef_search, oversampling=self.oversampling
        )
        return [hit.id for hit in found]

    def __str__(self) -> str:
        coarse = WAYS[self.way].vectors.coarse
        how = f"oversampling {self.oversampling}" if coarse else f"ef_search {self.ef_search}"
        return how if self.tuned else f"{how}, not tuned"


@dataclass(frozen=True, slots=True)
class Asked:
    """What some clients at once were answered, and how many searches a second that were."""

    answers: Timed[list[int]]
    per_second: float


@dataclass(frozen=True, slots=True)
class Measured:
    """An index of a table of so many rows; what was asked is by the number of clients."""

    rows: int
    search: Search
    seconds: float
    megabytes: float
    recall: float
    asked: Mapping[int, Asked]


def held_out(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Keep some real vectors out of the table, to ask for: return the others, and these."""
    order = np.random.default_rng(SEED).permutation(len(vectors))
    return vectors[order[QUERIES:]], vectors[order[:QUERIES]]


def grown(real: Vectors, size: int) -> Vectors:
    """Return so many vectors: the real ones, then noisy copies of them, shuffled."""
    chance = np.random.default_rng(SEED)
    origins = np.arange(size)
    origins[len(real) :] = chance.integers(len(real), size=max(0, size - len(real)))
    copied = np.arange(size) >= len(real)
    order = chance.permutation(size)
    made = np.empty((size, real.shape[1]), np.float32)
    for start in range(0, size, CHUNK):
        some = order[start : start + CHUNK]
        chunk = made[start : start + CHUNK]
        chunk[:] = real[origins[some]]
        copies = copied[some]
        chunk[copies] += _noise(chunk[copies], chance)
    return made


def _noise(vectors: Vectors, chance: np.random.Generator) -> Vectors:
    noise = chance.standard_normal(vectors.shape, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = noise * lengths * np.float32(NOISE / np.sqrt(vectors.shape[1]))
    return scaled


def exact(held: Vectors, asked: Vectors) -> list[set[int]]:
    """Return the places of the truly nearest, by cosine, chunk after chunk."""
    places: NDArray[np.int64] = np.empty((len(asked), 0), np.int64)
    likeness: Vectors = np.empty((len(asked), 0), np.float32)
    for start in range(0, len(held), CHUNK):
        chunk = held[start : start + CHUNK]
        unit = chunk / np.linalg.norm(chunk, axis=1, keepdims=True)
        numbers = np.arange(start, start + len(chunk))
        places = np.hstack([places, np.broadcast_to(numbers, (len(asked), len(chunk)))])
        likeness = np.hstack([likeness, asked @ unit.T])
        best = np.argpartition(-likeness, K - 1, axis=1)[:, :K]
        places = np.take_along_axis(places, best, axis=1)
        likeness = np.take_along_axis(likeness, best, axis=1)
    return [set(map(int, each)) for each in places]


def tuned(engine: Engine, way: str) -> Search:
    """Find how broadly to search for the recall; as broadly as declared where none reaches it."""
    with Session(engine) as session:
        try:
            found = tune(session, WAYS[way].vectors, RECALL, k=K, queries=TUNED_ON)
        except VectorError:
            return Search(way, *DECLARED[way], tuned=False)
        session.commit()
    return Search(way, found.ef_search, found.oversampling, tuned=True)


def at_once(url: URL, search: Search, vectors: Vectors, clients: int) -> Asked:
    """Have so many processes ask for all vectors, when all of them are connected and warm.

    Each begins at another place of the vectors, the first at their beginning.
    """
    begins = (len(vectors) * number // clients for number in range(clients))
    started = [begun_apart(_ask, url, search, np.roll(vectors, -begin, axis=0)) for begin in begins]
    for _, pipe in started:
        pipe.recv()  # it is warm
    begun = time.perf_counter()
    for _, pipe in started:
        pipe.send("begin")
    each = [pipe.recv() for _, pipe in started]
    elapsed = time.perf_counter() - begun
    for process, _ in started:
        process.join()
    results = [ids for found, _ in each for ids in found]
    milliseconds = np.concatenate([seconds for _, seconds in each]) * 1000
    return Asked(Timed(results, milliseconds), len(results) / elapsed)


def _ask(url: URL, search: Search, vectors: Vectors, pipe: Pipe) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    found, seconds = [], np.empty(len(vectors))
    with Session(engine) as session:
        for vector in vectors[:WARM_UP]:
            search.ids(session, vector)
        pipe.send("warm")
        pipe.recv()
        for number, vector in enumerate(vectors):
            started = time.perf_counter()
            ids = search.ids(session, vector)
            seconds[number] = time.perf_counter() - started
            found.append(ids)
    pipe.send((found, seconds))
    engine.dispose()


def measure(
    engine: Engine, rows: int, way: str, asked: Vectors, truth: Sequence[set[int]]
) -> Measured:
    """Build one index, which no other one helps, tune it, ask it, and drop it."""
    index = WAYS[way].vectors
    memory = max(LEAST_MEGABYTES, rows * KILOBYTES_A_ROW // 1_000)
    seconds = build(engine, index, f"{memory}MB")
    size = megabytes(engine, str(index.name))
    administer(engine, "CHECKPOINT")
    search = tuned(engine, way)
    clients = CLIENTS if rows == max(SIZES) else CLIENTS[:1]
    answers = {count: at_once(engine.url, search, asked, count) for count in clients}
    with engine.begin() as connection:
        index.drop(connection)
    found = answers[1].answers.results
    return Measured(rows, search, seconds, size, recall(found, list(truth)), answers)


def measured(engine: Engine, vectors: Vectors, asked: Vectors) -> Iterator[Measured]:
    """Grow a table from size to size, and measure every index at each."""
    administer(engine, "DROP TABLE IF EXISTS clips")
    with engine.begin() as connection:
        connection.execute(CreateTable(Clip.__table__))  # type: ignore[arg-type]
    before = 0
    for rows in SIZES:
        load(engine, ClipRepository, enumerate(vectors[before:rows], before))
        settle(engine, Clip.__tablename__)
        truth = exact(vectors[:rows], asked)
        for way in WAYS:
            yield measure(engine, rows, way, asked, truth)
        before = rows
    administer(engine, "DROP TABLE clips")


def figures(one: Measured) -> Iterator[Figure]:
    """Show an index; the goals are those of the largest table."""
    what = f"{short(one.rows)}, {one.search.way}"
    least, most = (RECALL, P95) if one.rows == max(SIZES) else (None, None)
    yield Figure(f"{what}: build", one.seconds, "s")
    yield Figure(f"{what}: index", one.megabytes, "MB")
    yield Figure(f"{what} ({one.search}): recall@{K}", one.recall, "", at_least=least)
    for count, asked in one.asked.items():
        clients = f"{what}, {count} client{'s' if count > 1 else ''}"
        limit = most if count == max(CLIENTS) else None
        yield Figure(f"{clients}: p50", asked.answers.p50)
        yield Figure(f"{clients}: p95", asked.answers.p95, at_most=limit)
        yield Figure(f"{clients}: rate", asked.per_second, "/s")


def beside(one: Measured, baseline: Measured) -> list[Figure]:
    """Show an index beside that of whole vectors in the same table."""
    if one is baseline:
        return list(figures(one))
    pairs = zip(figures(one), figures(baseline), strict=True)
    return [replace(figure, baseline=other.value) for figure, other in pairs]


def plotted(each: Sequence[Measured]) -> None:
    """Write the plot of how each index grows."""

    def lines(value: Callable[[Measured], float]) -> dict[str, list[float]]:
        return {way: [value(one) for one in each if one.search.way == way] for way in WAYS}

    alone = min(CLIENTS)
    panels = [
        Panel("build, s", lines(lambda one: one.seconds)),
        Panel("index, MB", lines(lambda one: one.megabytes)),
        Panel("p95 of a search, one client, ms", lines(lambda one: one.asked[alone].answers.p95)),
        Panel(f"recall@{K}", lines(lambda one: one.recall), between=(0.9, 1.0)),
    ]
    draw(PLOT, SIZES, panels)


def growth(each: Sequence[Measured]) -> str:
    """Say how many times the median of one client is that of the smallest table."""
    alone = min(CLIENTS)
    times = []
    for way in WAYS:
        least, *_, most = (one.asked[alone].answers.p50 for one in each if one.search.way == way)
        times.append(f"{way} {most / least:.1f}x")
    return ", ".join(times)


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure three indexes at each size, the largest by several clients at once."""
    real, asked = held_out(dataset.vectors())
    each = list(measured(engine, grown(real, max(SIZES)), asked))
    plotted(each)
    whole = {one.rows: one for one in each if one.search.way == BASELINE}
    largest_first = sorted(each, key=lambda one: -one.rows)
    return Report(
        f"scale: the {K} nearest of {min(SIZES):,} to {max(SIZES):,} vectors",
        f"{BASELINE}, as many rows",
        [figure for one in largest_first for figure in beside(one, whole[one.rows])],
        [
            f"{len(real):,} real vectors of {DIMENSIONS} dimensions, and noisy copies of them: the "
            f"noise is normal, its length {NOISE:g} of the vector's. Shuffled; a smaller table "
            f"holds the first of the rows. {QUERIES} real ones are held out and asked for; seed "
            f"{SEED}.",
            f"m = 16, ef_construction = 128, maintenance_work_mem = {KILOBYTES_A_ROW} KB a row. "
            f"Each index alone, tuned for {RECALL} by {TUNED_ON} halfways between rows by "
            "pgmodern.tuning, and asked by processes that begin together, each for all; the rate "
            "is that of their searches together.",
            f"p50 of {max(SIZES):,} rows, of that of {min(SIZES):,}: {growth(each)}.",
        ],
    )
