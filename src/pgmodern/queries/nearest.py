"""Nearest neighbours: as many as were asked for, whatever the filter."""

import operator
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from sqlalchemy import (
    CTE,
    BigInteger,
    BinaryExpression,
    ColumnElement,
    case,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.sql.visitors import replacement_traverse

from pgmodern.indexes import HnswIndex
from pgmodern.indexes.declared import constant
from pgmodern.queries.graph import or_exactly, scanning
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.statistics import size_of

# To come to one row by the graph costs as much as to compare so many; measured, see `few`.
_DEARER = 15
_FEWEST = 2_000
# Of more rows than the graph's broadest scan gives at once, each costs as much as so many. By then
# the graph's recall falls, too: of the 5,000 nearest of 176,081 to 0.92, of 10,000 to 0.83.
_BROADEST, _DEARER_THEN = 1_000, 80
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
    they are compared one by one, and so are all where a large part of them is asked for. Otherwise
    the graph is scanned iteratively until `k` pass; where it gives up early (they lie far away), an
    exact scan takes over. So `k` rows come back whenever `k` exist, less those whose score is below
    the `threshold`. `ef_search` (1..1000) is the breadth of the graph's scan: more recall for more
    time. A coarse index gives `oversampling` times `k` rows, which the whole vectors put in order.
    Of both the index has its own, which hold unless others are given. The conditions may also speak
    of other tables, by `column.in_(select(...))`.

    Raises VectorError when the vector does not fit the column.
    """
    sought = vector if isinstance(vector, ColumnElement) else index.literal(vector)
    conditions = (*index.conditions, *where)
    if index.coarse:
        keep = enough = k * (oversampling or index.oversampling)
    else:
        keep, enough = wider(k) if where else k, k
    distance = index.distance(sought).label("distance")
    graph = (
        select(*index.key, index.vector.label("whole") if index.coarse else distance)
        .where(*index.conditions, *map(_unweighed, where))
        .where(*_worth_it(index, conditions, keep, filtered=bool(where)))
        .order_by(index.distance(scanning(sought, keep, ef_search or index.ef_search)))
        .limit(rows(keep))
        .cte("graph")
        .prefix_with("MATERIALIZED")
    )
    best = _best(graph, index, sought, k) if index.coarse or where else graph
    return or_exactly(best, (graph, enough), index, sought, k, conditions, threshold)


def wider(k: int) -> int:
    """How many rows that pass a filter are taken from the graph to find the nearest `k` of them.

    It gives them in no strict order, and where few pass, some of the nearest come late. Measured
    on real vectors: recall@10 is 0.91 without where a tenth passes, and 0.97 with.
    """
    return k + max(20, k // 2) if k else 0


def _best(graph: CTE, index: HnswIndex, sought: ColumnElement[Any], k: int) -> CTE:
    """Select the nearest of what the graph gave, of a coarse one by the whole vectors."""
    distance = index.distance_of(graph.c.whole, sought) if index.coarse else graph.c.distance
    key = [graph.c[column.key] for column in index.key]
    nearest_first = select(*key, distance.label("distance")).order_by(distance).limit(rows(k))
    return nearest_first.cte("best").prefix_with("MATERIALIZED")


def _worth_it(
    index: HnswIndex, conditions: Sequence[ColumnElement[bool]], keep: int, *, filtered: bool
) -> list[ColumnElement[bool]]:
    """Return on what condition the graph is sooner done than an exact scan; none: always."""
    if filtered:
        return [_are_many(index, conditions, keep)]
    if index.coarse or keep <= _BROADEST:
        return []
    return [size_of(index.parent) > constant(keep * _DEARER_THEN)]


def _are_many(
    index: HnswIndex, conditions: Sequence[ColumnElement[bool]], keep: int
) -> ColumnElement[bool]:
    """Whether more rows meet the conditions than are few, counting no further than that."""
    limit = _once(few(index, keep), "few")
    some = select(constant(1)).select_from(index.parent).where(*conditions)
    counted = some.limit(limit + constant(1)).subquery()
    return select(func.count()).select_from(counted).scalar_subquery() > limit


def few(index: HnswIndex, keep: int) -> ColumnElement[int]:
    """How many rows are sooner compared one by one than found among the others by the graph.

    Where `p` of `n` rows pass, the graph comes by `keep * n / p` rows until `keep` of them do. That
    costs what `p` comparisons do where `p * p` is `keep * n` times a constant. `n` is what the
    table had when it was last analyzed.
    """
    as_many = func.sqrt(size_of(index.parent) * constant(keep * _DEARER))
    return cast(func.greatest(as_many, constant(_FEWEST)), BigInteger)


def _once(value: ColumnElement[int], name: str) -> ColumnElement[int]:
    found = select(value.label("value")).cte(name).prefix_with("MATERIALIZED")
    return select(found.c.value).scalar_subquery()


def _unweighed(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Keep the planner from guessing how many rows pass a range: here many do.

    Under a generic plan it takes a range for one row in two hundred, and would rather sort those
    than scan the graph. That an expression is not NULL it takes for granted.
    """

    def unweighed(element: Any, **_: Any) -> Any:
        if isinstance(element, BinaryExpression) and element.operator in _RANGES:
            return case({element: true()}).is_not(None)
        return element if isinstance(element, CTE) else None  # a copy would be another one

    weighed: ColumnElement[bool] = replacement_traverse(condition, {}, unweighed)
    return weighed
