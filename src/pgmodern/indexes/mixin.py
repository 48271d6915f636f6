"""Indexes of mixins and abstract classes: one for each table that takes a copy of the column."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Index, Table, event
from sqlalchemy.orm import MappedColumn
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from pgmodern.errors import DeclarationError

I = TypeVar("I", bound=Index)  # noqa: E741


class Copies(Generic[I]):
    """The indexes that inherit a declaration, each of a table of its own.

    Declarative gives every subclass of a mixin copies of its columns. They bring along those
    listeners of a column that say so: by them we hear of each.
    """

    def __init__(self, index: I, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        self._index = index
        self._arguments, self._options = arguments, options
        self._by_table: dict[Table, I] = {}

    def follow(self) -> None:
        """Make an index for every table that takes copies of all columns."""
        originals = _columns([*self._arguments, *self._options.values()])
        copied: dict[Table, dict[Column[Any], Column[Any]]] = {}

        def attached(original: Column[Any], column: Column[Any], table: Table) -> None:
            if _has_table(original):
                return  # the class itself is mapped; this is a table of its, or a copy of that
            if table not in copied:
                event.listen(table, "after_parent_attach", lambda *_: self._require(table))
            of_table = copied.setdefault(table, {})
            of_table[original] = column
            if len(of_table) == len(originals):
                self._make(table, of_table)

        for original in originals:
            heard = partial(attached, original)
            event.listen(original, "after_parent_attach", heard, propagate=True)

    def _make(self, table: Table, columns: Mapping[Column[Any], Column[Any]]) -> None:
        def copied(element: Any, **_: Any) -> Any:
            return columns.get(element)

        def argument(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return type(value)(map(argument, value))
            if isinstance(value, MappedColumn):
                return columns.get(value.column, value)
            if isinstance(value, ColumnElement):
                return replacement_traverse(value, {}, copied)
            return value

        name = f"{self._index.name}_{table.name}"
        options = {key: argument(value) for key, value in self._options.items() if key != "name"}
        others = map(argument, self._arguments[1:])
        self._by_table[table] = type(self._index)(name, *others, **options)

    def _require(self, table: Table) -> None:
        if table not in self._by_table:
            raise DeclarationError(
                f"Index {self._index.name} is inherited by {table.name}, but not all its columns.",
                "Declare it in the class that has the columns.",
            )

    def of(self, owner: type) -> I:
        """Return the index of a mapped class's table; elsewhere the declaration itself."""
        for cls in owner.__mro__ if self._by_table else ():
            table = vars(cls).get("__table__")
            if table in self._by_table:
                return self._by_table[table]
        return self._index


def _columns(values: Any) -> list[Column[Any]]:
    """Return the columns without a table that the arguments of an index name."""
    columns: dict[Column[Any], None] = {}
    for value in values:
        if isinstance(value, list | tuple):
            columns |= dict.fromkeys(_columns(value))
        elif isinstance(value, MappedColumn):
            columns[value.column] = None
        elif isinstance(value, ColumnElement):
            within = (e for e in iterate(value) if isinstance(e, Column))
            columns |= dict.fromkeys(within)
    return [column for column in columns if not _has_table(column)]


def _has_table(column: Column[Any]) -> bool:
    return getattr(column, "table", None) is not None
