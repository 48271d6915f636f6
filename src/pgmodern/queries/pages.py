"""Keyset pages: each costs the same, however far one has read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy.types import TypeDecorator, TypeEngine

from pgmodern.queries.statement import Statement, given, rows

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
    says that another page follows, so nothing has to be counted. Raises ValueError when a column
    may be NULL, as a page would lose the rows where it is; and as `checked` does.
    """
    rows(size)  # refuses a size below zero
    for column in newest_first:
        if getattr(column, "nullable", False):
            raise ValueError(f"pages cannot be ordered by {column}, which may be NULL")
    if after is not None:
        place = zip(checked(after, newest_first), newest_first, strict=True)
        bound = (given(value, column.type) for value, column in place)
        statement = statement.where(tuple_(*newest_first) < tuple_(*bound))
    return statement.order_by(*(c.desc() for c in newest_first)).limit(rows(size + 1))


def checked(after: Position, newest_first: Sequence[ColumnElement[Any]]) -> Position:
    """Return the position; raises ValueError unless its values are of these columns' types."""
    if len(after) != len(newest_first):
        raise ValueError(f"a position has {len(newest_first)} values, not {len(after)}")
    for value, column in zip(after, newest_first, strict=True):
        fits = isinstance(value, ColumnElement | _python_type(column.type))
        if not fits:
            raise ValueError(f"a position has no {value!r} for {column}")
    return after


def _python_type(kind: TypeEngine[Any]) -> type[Any]:
    """Return what the type's values are; object where only the type itself can tell."""
    if isinstance(kind, TypeDecorator):
        return object
    try:
        return kind.python_type
    except NotImplementedError:
        return object


def cut(found: Sequence[tuple[R, Position]], size: int) -> Page[R]:
    """Make a page of the rows that `page` selected, each with its place in the order."""
    kept = found[:size]
    more = len(found) > size > 0
    return Page([row for row, _ in kept], kept[-1][1] if more else None)
