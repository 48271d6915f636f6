"""What an index is of: a column, mapped or about to be, or an expression of columns."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import InstrumentedAttribute, Mapped, MappedColumn
from sqlalchemy.types import TypeEngine

from pgmodern.errors import DeclarationError

Source = Mapped[Any] | ColumnElement[Any]
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def as_column(source: Source | str, what: str = "This") -> ColumnElement[Any]:
    """Return the Core column of a column that is mapped, or is being mapped.

    Raises DeclarationError for anything else; `what` is what it would have been for.
    """
    if isinstance(source, MappedColumn):
        return source.column
    if isinstance(source, InstrumentedAttribute):
        column: ColumnElement[Any] = source.property.columns[0]
        return column
    if isinstance(source, ColumnElement):
        return source
    if isinstance(source, str):
        raise DeclarationError(
            f"{what} is given the name {source!r} in the place of a column.",
            f"Pass the column itself, without quotes: {source}.",
        )
    raise DeclarationError(
        f"{what} is given {source!r}, which is no column.",
        "Pass a mapped_column() of the same class; or, after the class, its attribute: "
        "Product.name.",
    )


def require_type(what: str, column: ColumnElement[Any], accepted: Collection[str]) -> None:
    """Raise DeclarationError where a column has a type of SQLAlchemy's that is not accepted.

    Types are named as in SQL. A type of somebody else's may be a domain, and is PostgreSQL's to
    judge; so is one that is not known yet.
    """
    kind = column.type
    name = _sql_name(kind)
    if name is None or name in accepted or not type(kind).__module__.startswith("sqlalchemy."):
        return
    raise DeclarationError(
        f"{what} is on {column}, which is of type {name}.",
        f"It can only be on a column of type {' or '.join(sorted(accepted))}.",
    )


def _sql_name(kind: TypeEngine[Any]) -> str | None:
    try:
        return str(kind.compile(_DIALECT)).partition("(")[0]
    except CompileError:
        return None
