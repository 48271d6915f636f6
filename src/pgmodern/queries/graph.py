"""The scan of an HNSW index, and the exact one that takes over where it finds too few."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, func, select, union_all

from pgmodern.indexes import HnswIndex
from pgmodern.queries.statement import Statement, rows, under

_EF_SEARCH_MAX = 1000
_SCAN_TUPLES = 20_000


def scanning(sought: ColumnElement[Any], k: int, ef_search: int) -> ColumnElement[Any]:
    """Return what is sought, under the settings of an iterative scan for `k` rows.

    Before 0.8.0 pgvector has none: a filtered scan then finds what passes of `ef_search` rows.
    """
    return under(
        sought,
        {"hnsw.ef_search": str(min(_EF_SEARCH_MAX, max(k, ef_search)))},
        where_known={
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.max_scan_tuples": str(max(_SCAN_TUPLES, 2 * k)),
        },
    )


def or_exactly(
    best: CTE,
    scanned: tuple[CTE, int],
    index: HnswIndex,
    sought: ColumnElement[Any],
    k: int,
    conditions: Sequence[ColumnElement[bool]],
    threshold: float | ColumnElement[float] | None = None,
    before: Sequence[CTE] = (),
) -> Statement:
    """Select the `k` rows of `best`, which has key and distance: key and score, the best first.

    Where what was `scanned` holds fewer rows than the number beside it, all that meet the
    conditions are compared instead. Of either, none whose score is below the `threshold`. `before`
    are the steps from what was scanned to `best`. They all stay within the statement, which can
    thus be one of a `batch`.
    """
    graph, enough = scanned
    came = select(func.count()).select_from(graph).scalar_subquery()
    distance = index.exact_distance(sought)
    exact = (
        select(*index.key, distance.label("distance"))
        .where(came < rows(enough), *conditions)
        .order_by(distance.asc())
        .limit(rows(k))
        .cte(f"{best.name}_exact")
        .prefix_with("MATERIALIZED")
    )
    chosen = (*(best.c[column.key] for column in index.key), best.c.distance)
    found = union_all(select(*chosen).where(came >= rows(enough)), select(exact)).subquery("found")
    key = (found.c[column.key] for column in index.key)
    score = index.score(found.c.distance)
    # Not within a scan of the graph: beyond the last that is near enough it would go on for long.
    near = [] if threshold is None else [score >= threshold]
    shown = select(*key, score.label("score")).where(*near).order_by(found.c.distance)
    return shown.add_cte(*dict.fromkeys((*before, graph, best, exact)), nest_here=True)
