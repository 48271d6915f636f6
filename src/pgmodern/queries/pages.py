"""Keyset pages: each costs the same, however far one has read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, literal, tuple_

from pgmodern.queries.statement import Statement, rows

R = TypeVar("R")

Position = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some rows, and the position to pass as `after` for those that follow; None at the end."""

    rows: list[R]
    after: Position | None


def page(
    statement: Statement,
    newest_first: Sequence[ColumnElement[Any]],
    after: Position | None,
    size: int,
) -> Statement:
    """Order the statement by the columns, descending, and keep what follows `after`.

    The last of the columns must be unique. One row more than `size` is selected: that it is there
    says that another page follows, so nothing has to be counted.
    """
    rows(size)  # refuses a size below zero
    if after is not None:
        if len(after) != len(newest_first):
            raise ValueError(f"a position has {len(newest_first)} values, not {len(after)}")
        bound = (literal(v, c.type) for v, c in zip(after, newest_first, strict=True))
        statement = statement.where(tuple_(*newest_first) < tuple_(*bound))
    return statement.order_by(*(c.desc() for c in newest_first)).limit(rows(size + 1))


def cut(found: Sequence[tuple[R, Position]], size: int) -> Page[R]:
    """Make a page of the rows that `page` selected, each with its place in the order."""
    kept = found[:size]
    more = len(found) > size > 0
    return Page([row for row, _ in kept], kept[-1][1] if more else None)
