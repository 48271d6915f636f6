"""Nearest neighbours at several resolutions: many by a coarse index, fewer by each finer vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, select

from pgmodern.indexes import HnswIndex
from pgmodern.queries.graph import or_exactly, scanning
from pgmodern.queries.statement import Statement, rows


@dataclass(frozen=True, slots=True)
class Stage:
    """An index whose column holds one resolution, what is sought at it, and how many to keep."""

    index: HnswIndex
    sought: ColumnElement[Any]
    keep: int


def staged(stages: Sequence[Stage], *, where: Sequence[ColumnElement[bool]] = ()) -> Statement:
    """Select the rows nearest by the last stage: key and score, the nearest first.

    The first stage is served by its index, scanned iteratively until `keep` rows pass the filter;
    each later one orders by its column what the one before kept. Where fewer than the first
    stage's `keep` come, all rows that pass are ordered by the last stage: a selective filter is
    answered exactly, and as many rows come as were asked for whenever they exist. The columns are
    of one table and of one metric.
    """
    first, last = stages[0], stages[-1]
    conditions = (*first.index.conditions, *where)
    coarse = _coarse(first, stages[1:], conditions)
    steps = [coarse]
    for number, stage in enumerate(stages[1:], 1):
        steps.append(_finer(steps[-1], stage, number))
    scanned = coarse, first.keep
    return or_exactly(
        steps[-1], scanned, last.index, last.sought, last.keep, conditions, before=steps
    )


def _coarse(stage: Stage, finer: Sequence[Stage], conditions: Sequence[ColumnElement[bool]]) -> CTE:
    # The finer vectors come along: what lies out of line is not fetched until it is compared.
    vectors = (each.index.indexed.label(f"vector_{n}") for n, each in enumerate(finer, 1))
    return (
        select(*stage.index.key, *vectors)
        .where(*conditions)
        .order_by(stage.index.distance(scanning(stage.sought, stage.keep, stage.index.ef_search)))
        .limit(rows(stage.keep))
        .cte("coarse")
        .prefix_with("MATERIALIZED")
    )


def _finer(before: CTE, stage: Stage, number: int) -> CTE:
    distance = stage.index.distance_of(before.c[f"vector_{number}"], stage.sought)
    kept = [column for column in before.c if column.key != "distance"]
    return (
        select(*kept, distance.label("distance"))
        .order_by(distance)
        .limit(rows(stage.keep))
        .cte(f"finer_{number}")
        .prefix_with("MATERIALIZED")
    )
