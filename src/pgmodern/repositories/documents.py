"""The statements of a search by what a JSONB document holds, newest first."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, FromClause, Text, and_, bindparam
from sqlalchemy.orm import InstrumentedAttribute

from pgmodern.errors import DocumentError
from pgmodern.indexes import JsonbIndex
from pgmodern.queries import Page, documents, page
from pgmodern.queries.documents import json_path
from pgmodern.queries.pages import Position, checked, cut
from pgmodern.queries.statement import Statement
from pgmodern.repositories.conditions import Conditions, Where, conditions
from pgmodern.repositories.repository import Values
from pgmodern.repositories.rows import R, Shown

Columns = tuple[ColumnElement[Any], ...]


class DocumentStatements(Shown[R]):
    """The statements; `row` takes the columns of `payload`.

    `newest_first` are the columns that order the pages, the last of them unique.
    """

    document: ClassVar[JsonbIndex]
    newest_first: ClassVar[Sequence[InstrumentedAttribute[Any]]]

    def _page(
        self,
        size: int,
        after: Position | None,
        where: Where = (),
        values: Values | None = None,
    ) -> tuple[Statement, Values]:
        order = tuple(each.__clause_element__() for each in self.newest_first)
        place = {} if after is None else _named(checked(after, order))
        met = conditions(where)
        statement = _page(self.payload, self.document, order, met, size, after is not None)
        return statement, {**place, **met.values, **(values or {})}

    def _cut(self, found: Iterable[Any], size: int) -> Page[R]:
        make, width = type(self).row, len(self.newest_first)
        return cut([(make(*each[:-width]), tuple(each[-width:])) for each in found], size)


# As in `search`: each statement is built once, the values come with the call.
@lru_cache
def _page(
    payload: Statement,
    document: JsonbIndex,
    order: Columns,
    met: Conditions,
    size: int,
    follows: bool,
) -> Statement:
    types = _named([column.type for column in order])
    after = tuple(bindparam(name, type_=kind) for name, kind in types.items()) if follows else None
    if not met.where:
        return page(payload.add_columns(*order), order, after, size)
    found = documents(document, met.parameters, order).subquery("found")
    place = [_of(found, column) for column in order]
    chosen = page(found.select(), place, after, size).cte("page")
    same = and_(*(column == chosen.c[column.key] for column in document.key))
    shown = payload.join(chosen, same).add_columns(*order)
    return shown.order_by(*(column.desc() for column in order))


def _of(found: FromClause, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column as the subquery has it, whatever an attribute is called there."""
    same = found.corresponding_column(column)  # type: ignore[arg-type]
    assert same is not None
    return same


@lru_cache
def contains(document: JsonbIndex) -> ColumnElement[bool]:
    """Return the condition that a document contains another: `pgmodern_document`, encoded."""
    return document.contains(bindparam("pgmodern_document", type_=Text))


@lru_cache
def matches(document: JsonbIndex) -> ColumnElement[bool]:
    """Return the condition that a path finds something in a document: `pgmodern_path`."""
    return document.matches(json_path(bindparam("pgmodern_path", type_=Text)))


def _named(place: Sequence[Any]) -> dict[str, Any]:
    return {f"pgmodern_after_{number}": each for number, each in enumerate(place)}


def not_a_path(path: str) -> DocumentError:
    """Return what to raise for a text that is not a path."""
    return DocumentError(f"{path[:100]!r} is not a JSON path.", "Write it like $.tracks[*].artist.")
