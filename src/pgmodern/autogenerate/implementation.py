"""Alembic's PostgreSQL implementation, but for what it compares and renders too roughly."""

import re
import sys
from typing import Any, Literal, Protocol

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type  # its only way to write a type
from alembic.ddl.impl import ComparisonResult
from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import ClauseElement, Column, Index
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.types import TypeDecorator, TypeEngine

from pgmodern.autogenerate import twin
from pgmodern.indexes.catalogue import differences
from pgmodern.operations.literal import expression
from pgmodern.types import vector_type


class _Comparison(Protocol):
    def index(self, declared: Index) -> list[str]:
        """Say in which respects the catalogue's index differs from the declared one."""


class Implementation(PostgresqlImpl):
    """Compares indexes by their catalogue entries, and imports the types that a revision names."""

    comparison: _Comparison | None = None

    def compare_indexes(self, metadata_index: Index, reflected_index: Index) -> ComparisonResult:  # noqa: ARG002
        """Compare an index as PostgreSQL deparses it; outside of autogenerate one by one."""
        if self.comparison is not None:
            found = self.comparison.index(metadata_index)
        else:
            assert self.connection is not None
            found = differences(self.connection, metadata_index)
        return ComparisonResult.Different(found) if found else ComparisonResult.Equal()

    def compare_type(self, inspector_column: Column[Any], metadata_column: Column[Any]) -> bool:
        """Tell whether a type differs, for the server too: it has one for several names.

        Alembic takes a type without a size for one of any size; a vector's is a part of its type.
        """
        differs = bool(super().compare_type(inspector_column, metadata_column))
        types = inspector_column.type, metadata_column.type
        is_clear = not differs and all(vector_type(each) is None for each in types)
        if is_clear or self.connection is None:
            return differs
        same = twin.is_same_type(self.connection, *types)
        return differs if same is None else not same

    def render_type(
        self, type_: TypeEngine[Any], autogen_context: AutogenContext
    ) -> str | Literal[False]:
        """Write a type, and have the revision import it; of an application's, what it stands for.

        An application's own types move, history must not.
        """
        kind = type(type_)
        if kind.__module__.partition(".")[0] == "sqlalchemy":
            return super().render_type(type_, autogen_context)
        if isinstance(type_, TypeDecorator):
            return str(_repr_type(type_.load_dialect_impl(self.dialect), autogen_context))
        autogen_context.imports.add(f"from {_public_module(kind)} import {kind.__name__}")
        return repr(type_)

    def render_ddl_sql_expr(
        self,
        expr: ClauseElement,
        is_server_default: bool = False,  # noqa: ARG002  (as Alembic has it)
        is_index: bool = False,
        **kw: Any,  # noqa: ARG002
    ) -> str:
        """Write an expression so that what reads it takes no colon and no percent sign amiss."""
        if is_index:
            element: Any = expr
            return expression(expr if isinstance(expr, ColumnClause) else element.self_group())
        return without_parameters(expression(expr))


def _public_module(kind: type) -> str:
    """Return the outermost package that has the class: what is within it may move."""
    parts = kind.__module__.split(".")
    packages = (".".join(parts[:depth]) for depth in range(1, len(parts)))
    has_it = (each for each in packages if getattr(sys.modules[each], kind.__name__, None) is kind)
    return next(has_it, kind.__module__)


def without_parameters(sql: str) -> str:
    """Return SQL for `text()`, in which a colon before a word would begin a parameter."""
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\:", sql)


def register() -> None:
    """Have Alembic compare with it: it takes the last class defined for a dialect."""
    type("PostgresqlImpl", (Implementation,), {"__dialect__": "postgresql"})
