"""What every declared index has: its options, its table's key, the extensions it needs."""

from collections.abc import Iterable
from typing import Any, ClassVar

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    Label,
    MetaData,
    Table,
    Text,
    event,
    literal_column,
)
from sqlalchemy.orm import InstrumentedAttribute, Mapped, MappedColumn
from sqlalchemy.sql.visitors import replacement_traverse

from pgmodern.extensions import VECTOR, Extension
from pgmodern.types import HalfVector, Vector

Source = Mapped[Any] | ColumnElement[Any]


class DeclaredIndex(Index):
    """An index that knows the queries it serves; use the subclass for your kind of search."""

    extensions: ClassVar[tuple[Extension, ...]] = ()

    def __init__(
        self,
        name: str,
        expression: Source,
        *,
        method: str,
        opclass: str | None = None,
        parameters: dict[str, object] | None = None,
        where: ColumnElement[bool] | None = None,
    ) -> None:
        options: dict[str, Any] = {"postgresql_using": method}
        if parameters:
            options["postgresql_with"] = parameters
        if where is not None:
            options["postgresql_where"] = where
        super().__init__(name, as_column(expression), **options)
        # SQLAlchemy keys operator classes by column name, which exists only on a table.
        if opclass is not None and self.table is None:
            event.listen(self, "after_parent_attach", lambda *_: self._set_opclass(opclass))
        elif opclass is not None:
            self._set_opclass(opclass)

    def _set_opclass(self, opclass: str) -> None:
        self.dialect_options["postgresql"]["ops"] = {self.indexed.key: opclass}

    @property
    def indexed(self) -> ColumnElement[Any]:
        """The column or expression that the index holds."""
        (expression,) = self.expressions
        assert isinstance(expression, ColumnElement)
        return expression

    @property
    def parent(self) -> Table:
        """The table, which must have been mapped by now."""
        assert self.table is not None, f"{self.name} is not attached to a table yet"
        return self.table

    @property
    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """A partial index's predicate, its values inline so that a generic plan can prove it."""
        where = self.dialect_options["postgresql"]["where"]
        return () if where is None else (replacement_traverse(where, {}, _inline),)

    @property
    def key(self) -> tuple[Column[Any], ...]:
        """The table's primary key, which names a row in every search's result."""
        return tuple(self.parent.primary_key.columns)


def _inline(element: Any, **_: Any) -> Any:
    return element.render_literal_execute() if isinstance(element, BindParameter) else None


def as_column(source: Source) -> ColumnElement[Any]:
    """Return the Core column of a column that is mapped, or is being mapped."""
    if isinstance(source, MappedColumn):
        return source.column
    if isinstance(source, InstrumentedAttribute):
        column: ColumnElement[Any] = source.property.columns[0]
        return column
    assert isinstance(source, ColumnElement)
    return source


def constant(value: str | float) -> ColumnElement[Any]:
    """Return a value that is written into a query: as a parameter each execution would pay for it.

    Not for the expression of an index, which would take it for the column that leads it to its
    table.
    """
    if isinstance(value, str):
        return literal_column("'" + value.replace("'", "''") + "'", Text())
    return literal_column(repr(value), Integer() if isinstance(value, int) else Float())


def unlabelled(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what a label names; an index's expression is labelled for its operator class."""
    return expression.element if isinstance(expression, Label) else expression


def required_extensions(metadata: MetaData | Iterable[MetaData]) -> set[Extension]:
    """Return what the metadata needs from the server: its declared indexes, its columns' types.

    What else an application needs stands in the metadata's `info["extensions"]`.
    """
    needed: set[Extension] = set()
    for each in [metadata] if isinstance(metadata, MetaData) else metadata:
        needed.update(each.info.get("extensions", ()))
        for table in each.tables.values():
            for index in table.indexes:
                needed.update(index.extensions if isinstance(index, DeclaredIndex) else ())
            if any(isinstance(column.type, Vector | HalfVector) for column in table.columns):
                needed.add(VECTOR)
    return needed
