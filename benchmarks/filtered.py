"""The nearest of those that pass a filter: whether the right way to find them is chosen."""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import Session

from benchmarks.dataset import Dataset
from benchmarks.latency import Timed, in_turns
from benchmarks.nearest import (
    BUCKETS,
    EF_SEARCH,
    SEED,
    K,
    Recording,
    Split,
    Vectors,
    exact,
    held_out,
    ids,
    ids_exactly,
    load,
    recall,
)
from benchmarks.report import Figure, Report
from pgmodern.queries.graph import scanning
from pgmodern.queries.nearest import wider
from pgmodern.queries.statement import rows

QUERIES = 150
SELECTED = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0)
MANY, MANY_QUERIES = (1_000, 10_000), 30
BEHIND = 1.3  # times the better way of both, at most

Way = Callable[..., list[int]]


def ids_iteratively(session: Session, vector: Vectors, *where: ColumnElement[bool]) -> list[int]:
    """Scan the graph until as many pass as `nearest` wants, or until pgvector gives up."""
    index = Recording.embedding_hnsw
    many = wider(K)
    distance = index.distance(scanning(index.literal(vector), many, EF_SEARCH))
    shown = index.distance(index.literal(vector)).label("distance")
    wide = select(Recording.id, shown).where(*where).order_by(distance)
    found = wide.limit(rows(many)).cte("found").prefix_with("MATERIALIZED")
    return list(session.scalars(select(found.c.id).order_by(found.c.distance).limit(rows(K))))


def measure(engine: Engine, split: Split, part: float) -> list[Figure]:
    """Ask for the nearest of a random part of the rows in three ways."""
    bound = round(part * BUCKETS)
    condition = Recording.bucket < bound
    queries = list(split.asked[:QUERIES])

    calls = [_of([condition], way) for way in (ids, ids_exactly, ids_iteratively)]
    ways = ours, exactly, iteratively = in_turns(engine, queries, calls)
    truth = exact(split, split.asked[:QUERIES], split.buckets < bound)
    what = f"{part:.2%} pass"
    better = min(exactly, iteratively, key=lambda way: way.p95)
    return [
        Figure(f"{what}: p95, always exact", ours.p95, "ms", exactly.p95),
        Figure(f"{what}: p95, always iterative", ours.p95, "ms", iteratively.p95),
        Figure(f"{what}: times the better", ours.p95 / better.p95, "x", at_most=BEHIND),
        Figure(f"{what}: recall@{K}, always iterative", *_recalls(ways, truth), at_least=0.95),
        Figure(f"{what}: fewest rows", *_fewest(ours, iteratively), at_least=K),
    ]


def many(engine: Engine, split: Split, k: int) -> list[Figure]:
    """Ask for very many of the nearest, without a filter and of a tenth, beside an exact scan."""
    figures = []
    tenth = [Recording.bucket < BUCKETS // 10]
    for what, conditions in (("of all", []), ("10% pass", tenth)):
        calls = [_of(conditions, partial(way, k=k)) for way in (ids, ids_exactly)]
        ours, exactly = in_turns(engine, list(split.asked[:MANY_QUERIES]), calls)
        pairs = zip(ours.results, exactly.results, strict=True)
        share = sum(len(set(found) & set(truth)) for found, truth in pairs) / k / MANY_QUERIES
        label = f"{k:,} nearest, {what}"
        figures += [
            Figure(f"{label}: p95, exact", ours.p95, "ms", exactly.p95),
            Figure(f"{label}: recall@{k}", share, "", at_least=0.95),
            Figure(f"{label}: fewest rows", *_fewest(ours, exactly), at_least=k),
        ]
    return figures


def _of(
    conditions: Sequence[ColumnElement[bool]], way: Way
) -> Callable[[Session, Vectors], list[int]]:
    return lambda session, vector: way(session, vector, *conditions)


def _recalls(ways: Sequence[Timed[list[int]]], truth: list[set[int]]) -> tuple[float, str, float]:
    ours, _, iteratively = ways
    return recall(ours.results, truth), "", recall(iteratively.results, truth)


def _fewest(ours: Timed[list[int]], other: Timed[list[int]]) -> tuple[int, str, int]:
    return min(map(len, ours.results)), "rows", min(map(len, other.results))


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure at each selectivity."""
    split = held_out(dataset.vectors())
    songs = dataset.tracks()
    load(engine, split, [f"{song.title} - {song.artist}" for song in songs])
    figures = [figure for part in SELECTED for figure in measure(engine, split, part)]
    figures += [figure for k in MANY for figure in many(engine, split, k)]
    return Report(
        f"filtered: the {K} nearest of those that pass",
        "as said",
        figures,
        [
            f"{len(split.rows):,} real vectors; the filter is a range of a column with a B-tree, "
            f"at random to the vectors. {QUERIES} queries, each asked in all three ways before "
            f"the next, seed {SEED}.",
            f"Always iterative: the graph gives {wider(K)} that pass, of which the nearest {K} are "
            f"kept, as ours does; of {K} alone the recall at 10 % was 0.91.",
        ],
    )
