"""UNIQUE constraints and foreign keys, as they are added and dropped online."""

from collections.abc import Iterator
from typing import Any

from alembic.operations import MigrateOperation
from alembic.operations.ops import (
    CreateForeignKeyOp,
    CreateUniqueConstraintOp,
    DropConstraintOp,
)
from sqlalchemy import Column, UniqueConstraint

from pgmodern.names import fitting
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey
from pgmodern.operations.literal import final_name
from pgmodern.operations.unique_constraint import AddUniqueConstraintOnline


def online(
    operation: CreateUniqueConstraintOp | CreateForeignKeyOp | DropConstraintOp,
) -> MigrateOperation:
    """Return the operation that does the same online, if there is one."""
    if isinstance(operation, CreateUniqueConstraintOp):
        return unique(operation)
    if isinstance(operation, CreateForeignKeyOp):
        return AddForeignKeyOnline(_foreign_key(operation))
    before = operation.reverse()
    if isinstance(before, CreateUniqueConstraintOp | CreateForeignKeyOp):
        name, table, schema = operation.constraint_name, operation.table_name, operation.schema
        return DropConstraintOnline(str(name), table, schema, online(before))
    return operation


def of_column(column: Column[Any]) -> Iterator[AddUniqueConstraintOnline]:
    """Yield what adds the UNIQUE constraints that a column's table declares of the column."""
    for constraint in column.table.constraints:
        if isinstance(constraint, UniqueConstraint) and column.name in constraint.columns:
            yield unique(CreateUniqueConstraintOp.from_constraint(constraint))


def unique(operation: CreateUniqueConstraintOp) -> AddUniqueConstraintOnline:
    kw, table = operation.kw, operation.table_name
    columns = [str(column) for column in operation.columns]
    made = operation.to_constraint()
    name = final_name(made) if made.name else fitting("_".join([table, *columns, "key"]))
    return AddUniqueConstraintOnline(
        name,
        table,
        columns,
        operation.schema,
        nulls_not_distinct=bool(kw.get("postgresql_nulls_not_distinct")),
        include=list(kw.get("postgresql_include") or ()),
        deferrable=bool(kw.get("deferrable")),
        initially=kw.get("initially"),
    )


def _foreign_key(operation: CreateForeignKeyOp) -> ForeignKey:
    kw, table = operation.kw, operation.source_table
    local = [str(column) for column in operation.local_cols]
    made = operation.to_constraint()
    return ForeignKey(
        final_name(made) if made.name else fitting("_".join([table, *local, "fkey"])),
        table,
        operation.referent_table,
        local,
        [str(column) for column in operation.remote_cols],
        kw.get("onupdate"),
        kw.get("ondelete"),
        kw.get("deferrable"),
        kw.get("initially"),
        kw.get("match"),
        kw.get("source_schema"),
        kw.get("referent_schema"),
    )
