"""How fast similar fragrances are found in stages, and how many of the truly nearest."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from benchmarks.database import megabytes, settle, without
from benchmarks.dataset import Dataset, Perfume
from benchmarks.latency import Timed, timed
from benchmarks.report import Figure, Report
from pgmodern.queries import nearest
from pgmodern.queries.explain import Explain, indexes_used
from pgmodern.reference.fragrance import (
    Fragrance,
    FragranceEmbedding,
    FragranceHit,
    FragranceRepository,
)
from pgmodern.reference.fragrance.models import EMBEDDING_DIMENSIONS
from pgmodern.reference.fragrance.statements import OVERSAMPLING, similar
from pgmodern.repositories import BulkRepository

SEED, K = 7, 10
QUERIES, BASELINE_QUERIES = 400, 40
TRIED = ((4, 2), (8, 2), (16, 2), (32, 4), (64, 8), (100, 8))
SINGLE_STAGE_BREADTHS = (100, 400)
BUILD_MEMORY = "1GB"
APART = 0.05  # how far what smells the same lies apart, as a model would have it
HNSW = (
    Fragrance.embedding_hnsw,
    Fragrance.popular_hnsw,
    FragranceEmbedding.hnsw,
    FragranceEmbedding.hnsw_512,
    FragranceEmbedding.hnsw_128,
)

_FACTS = ("name", "brand", "description", "accords", "rating_value", "rating_count")
_PERFUME = attrgetter(*_FACTS)

Vectors = NDArray[np.float32]
Ids = list[uuid.UUID]


class Load(BulkRepository):
    """Fragrances, in bulk."""

    table = Fragrance.embedding_hnsw.parent
    stored = ("id", *_FACTS, "embedding")
    unique = ("id",)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is loaded, in the order of the ids, and the vectors that are asked for."""

    perfumes: list[Perfume]
    loaded: Vectors
    asked: Vectors

    def ids(self, numbers: NDArray[np.int64]) -> set[uuid.UUID]:
        """Return the ids of some."""
        return {uuid.UUID(int=int(number)) for number in numbers}


def smells(perfumes: Sequence[Perfume]) -> Vectors:
    """Make a vector of what each smells of: synthetic, as no model's vectors are public.

    A column for each of the commonest accords and notes, weighed by how rare it is; then a
    rotation onto the principal axes, each weighed by the root of its share, as a model does that
    learns what tells apart. So the first dimensions carry the most, as in the embeddings of a
    Matryoshka model: 128 of them three quarters, 512 of them 97%.
    """
    each = [[*p.accords, *(f"note {note}" for note in p.notes)] for p in perfumes]
    common = Counter(word for words in each for word in set(words))
    columns = {word: n for n, (word, _) in enumerate(common.most_common(EMBEDDING_DIMENSIONS))}
    features = np.zeros((len(each), EMBEDDING_DIMENSIONS), np.float32)
    for row, words in enumerate(each):
        for word in set(words) & columns.keys():
            features[row, columns[word]] = np.log(len(each) / common[word])
    _, axes = np.linalg.eigh(features.T @ features)  # ascending
    rotated = features @ axes[:, ::-1]
    spread = np.linalg.norm(rotated, axis=0)
    rotated *= np.sqrt(spread / spread[0])
    noise = np.random.default_rng(SEED).normal(size=rotated.shape).astype(np.float32)
    noise *= np.linalg.norm(rotated, axis=0) / np.linalg.norm(rotated)
    lengths = np.linalg.norm(rotated, axis=1, keepdims=True)
    vectors: Vectors = rotated + APART * lengths * noise
    return np.asarray(vectors, np.float32)


def held_out(perfumes: list[Perfume]) -> Shelf:
    """Keep some out of the table, to ask for: none finds itself."""
    vectors = smells(perfumes)
    order = np.random.default_rng(SEED).permutation(len(perfumes))
    kept, asked = np.sort(order[QUERIES:]), order[:QUERIES]
    return Shelf([perfumes[n] for n in kept], vectors[kept], vectors[asked])


def load(engine: Engine, shelf: Shelf) -> None:
    """Store the fragrances, whose trigger fills the other table, then build the indexes."""
    with engine.begin() as connection:
        for index in HNSW:
            index.drop(connection)
    with Session(engine) as session, session.begin():
        Load(session).store(
            (uuid.UUID(int=n), *_PERFUME(p), shelf.loaded[n]) for n, p in enumerate(shelf.perfumes)
        )
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL maintenance_work_mem = '{BUILD_MEMORY}'"))
        for index in HNSW:
            index.create(connection)
    settle(engine, "fragrances", "fragrance_embeddings_multi")


def truth(shelf: Shelf, kept: NDArray[np.bool_] | None = None) -> list[set[uuid.UUID]]:
    """Return the truly nearest at 2,048 dimensions, by cosine, of all or of those kept."""
    numbers = np.arange(len(shelf.perfumes)) if kept is None else np.flatnonzero(kept)
    unit = shelf.loaded[numbers]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    likeness = shelf.asked @ unit.T
    return [shelf.ids(numbers[each]) for each in np.argsort(-likeness, axis=1)[:, :K]]


def recall(found: Sequence[Ids], nearest: Sequence[set[uuid.UUID]]) -> float:
    """Return which part of the truly nearest was found."""
    pairs = list(zip(found, nearest, strict=False))  # a baseline is asked less
    return sum(len(best.intersection(ids)) for ids, best in pairs) / (K * len(pairs))


def by_repository(engine: Engine, shelf: Shelf, **options: Any) -> Timed[Ids]:
    """Search as an application does."""

    def call(session: Session, vector: Vectors) -> Ids:
        found: list[FragranceHit] = FragranceRepository(session).similar(vector, K, **options)
        return [hit.id for hit in found]

    return timed(engine, list(shelf.asked), call)


def in_one_stage(engine: Engine, shelf: Shelf, breadth: int) -> Timed[Ids]:
    """Search the index of 2,048 dimensions alone, on an engine that has to use it.

    The planner does not count what it costs to fetch and compare vectors that lie out of line, so
    which way it would take by itself says nothing of which is faster.
    """
    index = FragranceEmbedding.hnsw
    with engine.connect() as connection:
        plan = connection.scalar(Explain(nearest(index, shelf.asked[0], K, ef_search=breadth)))
    assert index.name in indexes_used(plan), "one stage is not answered by its index"

    def call(session: Session, vector: Vectors) -> Ids:
        found = nearest(index, vector, K, ef_search=breadth)
        return [row.fragrance_id for row in session.execute(found)]

    return timed(engine, list(shelf.asked), call)


def exactly(engine: Engine, shelf: Shelf, *where: Any) -> Timed[Ids]:
    """Search without an index: the distance of every whole vector, as it is stored in full."""
    column = Fragrance.embedding_hnsw.parent.c.embedding

    def call(session: Session, vector: Vectors) -> Ids:
        distance = column.cosine_distance(vector) + 0
        found = select(Fragrance.id).where(*where).order_by(distance).limit(K)
        return list(session.scalars(found))

    return timed(engine, list(shelf.asked[:BASELINE_QUERIES]), call)


def stages(engine: Engine, shelf: Shelf, kept: tuple[int, int]) -> Timed[Ids]:
    """Search with another oversampling."""
    statement = similar(K, kept)

    def call(session: Session, vector: Vectors) -> Ids:
        return [row.id for row in session.execute(statement.params(vector=vector))]

    return timed(engine, list(shelf.asked), call)


def _measured(
    what: str, ours: Timed[Ids], base: Timed[Ids] | None, best: list[set[uuid.UUID]], **goal: Any
) -> list[Figure]:
    p50, p95, found = (
        (base.p50, base.p95, recall(base.results, best)) if base else (None, None, None)
    )
    return [
        Figure(f"{what}: p50", ours.p50, "ms", p50),
        Figure(f"{what}: p95", ours.p95, "ms", p95),
        Figure(f"{what}: recall@{K}", recall(ours.results, best), "", found, **goal),
    ]


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure recall and latency of searches in stages, beside one stage and an exact scan."""
    shelf = held_out([each for each in dataset.perfumes() if each.accords or each.notes])
    load(engine, shelf)
    best, scan = truth(shelf), exactly(engine, shelf)
    figures: list[Figure] = []
    for target in OVERSAMPLING:
        ours = by_repository(engine, shelf, recall=target)
        figures += _measured(f"recall={target}", ours, scan, best, at_least=target)
    by_index = without(engine, "seqscan", "bitmapscan")
    for breadth in SINGLE_STAGE_BREADTHS:
        one = in_one_stage(by_index, shelf, breadth)
        figures += _measured(f"one stage, ef_search {breadth}", one, scan, best)
    for kept in TRIED:
        tried = stages(engine, shelf, kept)
        name = f"keeping {kept[0]}k, {kept[1]}k"
        figures += _measured(name, tried, None, best)[1:]
    figures += _filtered(engine, shelf)
    figures += [Figure(str(index.name), megabytes(engine, str(index.name)), "MB") for index in HNSW]
    figures.append(Figure("the two tables", _tables(engine), "MB"))
    return Report(
        f"fragrance: the {K} most similar of {len(shelf.perfumes):,}",
        "exact scan at 2,048",
        figures,
        [
            f"Accords, notes and ratings are real; the vectors of {EMBEDDING_DIMENSIONS:,} "
            "dimensions are made of them, see benchmarks/fragrance.py. "
            f"{QUERIES} are held out and asked for, {BASELINE_QUERIES} of them of the exact scan; "
            f"seed {SEED}.",
            "Recall is of what an exact search finds (numpy, float32, 2,048 dimensions); in the "
            "column of the baseline, of what the exact scan finds.",
        ],
    )


def _filtered(engine: Engine, shelf: Shelf) -> list[Figure]:
    popular = np.array([_popular(p) for p in shelf.perfumes])
    liked = np.array([(p.rating_value or 0) >= 4 for p in shelf.perfumes])
    rare = Counter(p.brand for p in shelf.perfumes).most_common(50)[-1][0]
    of_brand = np.array([p.brand == rare for p in shelf.perfumes])
    of_accord = np.array(["woody" in p.accords for p in shelf.perfumes])
    cases: list[tuple[str, dict[str, Any], NDArray[np.bool_], Any]] = [
        ("popular", {"popular": True}, popular, Fragrance.popular_hnsw.conditions),
        ("rated 4 or more", {"min_rating": 4.0}, liked, [Fragrance.rating_value >= 4]),
        ("woody", {"accords": ["woody"]}, of_accord, [Fragrance.accords.contains(["woody"])]),
        ("one brand", {"brand": rare}, of_brand, [Fragrance.brand == rare]),
    ]
    figures: list[Figure] = []
    for what, options, kept, where in cases:
        ours = by_repository(engine, shelf, **options)
        base = exactly(engine, shelf, *where)
        name = f"{what} ({kept.mean():.1%})"
        figures += _measured(name, ours, base, truth(shelf, kept))
        figures.append(Figure(f"{name}: fewest rows", min(map(len, ours.results)), "", at_least=K))
    return figures


def _popular(perfume: Perfume) -> bool:
    return (perfume.rating_value or 0) >= 4 and perfume.rating_count >= 100


def _tables(engine: Engine) -> float:
    return sum(megabytes(engine, name) for name in ("fragrances", "fragrance_embeddings_multi"))
