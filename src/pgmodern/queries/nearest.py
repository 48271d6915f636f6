"""Nearest neighbours: as many as were asked for, whatever the filter."""

import operator
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from sqlalchemy import (
    CTE,
    BinaryExpression,
    ColumnElement,
    ScalarSelect,
    case,
    func,
    select,
    true,
)
from sqlalchemy.sql.visitors import replacement_traverse

from pgmodern.indexes import HnswIndex
from pgmodern.queries.graph import or_exactly, scanning
from pgmodern.queries.statement import Statement, rows

# So many rows are sooner compared one by one than found among the others by the graph.
_FEW = 2_000
_RANGES = {operator.lt, operator.le, operator.gt, operator.ge}


def nearest(
    index: HnswIndex,
    vector: ArrayLike | ColumnElement[Any],
    k: int = 10,
    *,
    where: Sequence[ColumnElement[bool]] = (),
    ef_search: int | None = None,
    oversampling: int | None = None,
    threshold: float | ColumnElement[float] | None = None,
) -> Statement:
    """Select the `k` rows nearest to the vector: key and score, the nearest first.

    Where few rows pass the filter, which the statement finds out by counting no more than that,
    they are compared one by one. Otherwise the graph is scanned iteratively until `k` pass; where
    it gives up early (they lie far away), an exact scan takes over. So `k` rows come back whenever
    `k` exist, less those whose score is below the `threshold`. `ef_search` (1..1000) is the
    breadth of the graph's scan: more recall for more time. The conditions may also speak of other
    tables, by `column.in_(select(...))`. A coarse index gives `oversampling` times `k` rows (its
    own unless said), which the whole vectors put in order.

    Raises VectorError when the vector does not fit the column.
    """
    sought = vector if isinstance(vector, ColumnElement) else index.literal(vector)
    conditions = (*index.conditions, *where)
    keep = k * (oversampling or index.oversampling) if index.coarse else k
    distance = index.distance(sought).label("distance")
    graph = (
        select(*index.key, index.vector.label("whole") if index.coarse else distance)
        .where(*index.conditions, *map(_unweighed, where))
        .where(*([_passing(index, conditions) > rows(_FEW)] if where else []))
        .order_by(index.distance(scanning(sought, keep, ef_search)))
        .limit(rows(keep))
        .cte("graph")
        .prefix_with("MATERIALIZED")
    )
    best = _finest(graph, index, sought, k) if index.coarse else graph
    return or_exactly(best, (graph, keep), index, sought, k, conditions, threshold)


def _finest(graph: CTE, index: HnswIndex, sought: ColumnElement[Any], k: int) -> CTE:
    distance = index.distance_of(graph.c.whole, sought)
    key = [graph.c[column.key] for column in index.key]
    nearest_first = select(*key, distance.label("distance")).order_by(distance).limit(rows(k))
    return nearest_first.cte("finest").prefix_with("MATERIALIZED")


def _passing(index: HnswIndex, conditions: Sequence[ColumnElement[bool]]) -> ScalarSelect[int]:
    """Count the rows that meet the conditions, no further than it takes to know that not few do."""
    some = select(*index.key).where(*conditions).limit(rows(_FEW + 1)).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _unweighed(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Keep the planner from guessing how many rows pass a range: here many do.

    Under a generic plan it takes a range for one row in two hundred, and would rather sort those
    than scan the graph.
    """

    def unweighed(element: Any, **_: Any) -> Any:
        if isinstance(element, BinaryExpression) and element.operator in _RANGES:
            return case({element: true()})
        return element if isinstance(element, CTE) else None  # a copy would be another one

    weighed: ColumnElement[bool] = replacement_traverse(condition, {}, unweighed)
    return weighed
