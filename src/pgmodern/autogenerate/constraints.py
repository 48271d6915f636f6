"""UNIQUE constraints and foreign keys, as they are added and dropped online."""

from alembic.operations import MigrateOperation
from alembic.operations.ops import (
    CreateForeignKeyOp,
    CreateUniqueConstraintOp,
    DropConstraintOp,
)

from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey
from pgmodern.operations.names import fitting
from pgmodern.operations.unique_constraint import AddUniqueConstraintOnline


def online(
    operation: CreateUniqueConstraintOp | CreateForeignKeyOp | DropConstraintOp,
) -> MigrateOperation:
    """Return the operation that does the same online, if there is one."""
    if isinstance(operation, CreateUniqueConstraintOp):
        return _unique(operation)
    if isinstance(operation, CreateForeignKeyOp):
        return AddForeignKeyOnline(_foreign_key(operation))
    before = operation.reverse()
    if isinstance(before, CreateUniqueConstraintOp | CreateForeignKeyOp):
        name, table, schema = operation.constraint_name, operation.table_name, operation.schema
        return DropConstraintOnline(str(name), table, schema, online(before))
    return operation


def _unique(operation: CreateUniqueConstraintOp) -> AddUniqueConstraintOnline:
    kw, table = operation.kw, operation.table_name
    columns = [str(column) for column in operation.columns]
    name = str(operation.constraint_name or fitting("_".join([table, *columns, "key"])))
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
    return ForeignKey(
        str(operation.constraint_name or fitting("_".join([table, *local, "fkey"]))),
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
