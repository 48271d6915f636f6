"""Nearest neighbours: as many as were asked for, whatever the filter."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from sqlalchemy import ColumnElement, func, select, union_all

from pgmodern.indexes import HnswIndex
from pgmodern.queries.statement import Statement, rows, under

_EF_SEARCH = 100
_EF_SEARCH_MAX = 1000
_SCAN_TUPLES = 20_000


def nearest(
    index: HnswIndex,
    vector: ArrayLike | ColumnElement[Any],
    k: int = 10,
    *,
    where: Sequence[ColumnElement[bool]] = (),
    ef_search: int | None = None,
) -> Statement:
    """Select the `k` rows nearest to the vector: key and score, the nearest first.

    The graph is scanned iteratively until `k` rows pass the filter; where it gives up early (a
    filter that keeps almost nothing), an exact scan of the rows that pass takes over. So `k` rows
    come back whenever `k` exist. `ef_search` (1..1000) is the breadth of the graph's scan: more
    recall for more time.

    Raises VectorError when the vector does not fit the column.
    """
    sought = vector if isinstance(vector, ColumnElement) else index.literal(vector)
    breadth = min(_EF_SEARCH_MAX, max(k, ef_search or _EF_SEARCH))
    tuned = under(
        sought,
        hnsw__ef_search=str(breadth),
        hnsw__iterative_scan="relaxed_order",
        hnsw__max_scan_tuples=str(max(_SCAN_TUPLES, 2 * k)),
    )
    conditions = (*index.conditions, *where)
    distance = index.distance(sought)
    graph = (
        select(*index.key, distance.label("distance"))
        .where(*conditions)
        .order_by(index.distance(tuned))
        .limit(rows(k))
        .cte("graph")
        .prefix_with("MATERIALIZED")
    )
    came = select(func.count()).select_from(graph).scalar_subquery()
    # Adding zero keeps the ordering from being the index's: this leg must be exact.
    exact = (
        select(*index.key, (distance + 0).label("distance"))
        .where(came < k, *conditions)
        .order_by((distance + 0).asc())
        .limit(rows(k))
        .cte("exact")
        .prefix_with("MATERIALIZED")
    )
    found = union_all(select(graph).where(came >= k), select(exact)).subquery("found")
    key = (found.c[column.key] for column in index.key)
    return select(*key, index.score(found.c.distance).label("score")).order_by(found.c.distance)
