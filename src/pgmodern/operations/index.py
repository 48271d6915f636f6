"""`op.create_index_online` and `op.drop_index_online`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import CreateIndexOp
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, Index, TextClause
from sqlalchemy.schema import CreateIndex

from pgmodern.errors import MigrationError
from pgmodern.indexes import catalogue
from pgmodern.indexes.catalogue import quoted
from pgmodern.locks import driver, patience
from pgmodern.operations.literal import execute, string


class CreateIndexOnline(MigrateOperation):
    """Build an index while the table is read and written.

    SHARE UPDATE EXCLUSIVE on the table; waits for the transactions that are older than it.
    An index of that name with the same definition that is valid is left as it is; a different or
    an invalid one (what a killed build leaves) is dropped and built anew. Raises MigrationError
    when the name is taken by an index of another table.
    """

    def __init__(self, index: CreateIndexOp) -> None:
        self.index = index

    @classmethod
    def create_index_online(
        cls,
        operations: Operations,
        index_name: str,
        table_name: str,
        columns: Sequence[str | TextClause],
        *,
        schema: str | None = None,
        unique: bool = False,
        **kw: Any,
    ) -> None:
        """Create an index CONCURRENTLY; takes what `op.create_index` takes."""
        options = kw | {"postgresql_concurrently": True}
        operations.invoke(
            cls(
                CreateIndexOp(
                    index_name, table_name, columns, schema=schema, unique=unique, **options
                )
            )
        )

    def reverse(self) -> DropIndexOnline:
        """Return the operation that undoes this one."""
        assert self.index.index_name is not None
        return DropIndexOnline(self.index.index_name, self.index.schema)


class DropIndexOnline(MigrateOperation):
    """Drop an index while the table is read and written, if it is there.

    SHARE UPDATE EXCLUSIVE on the table; waits for the transactions that use the index.
    """

    def __init__(self, index_name: str, schema: str | None = None) -> None:
        self.index_name = index_name
        self.schema = schema

    @classmethod
    def drop_index_online(
        cls, operations: Operations, index_name: str, *, schema: str | None = None
    ) -> None:
        """Drop an index CONCURRENTLY, if it exists."""
        operations.invoke(cls(index_name, schema))


def create(operations: Operations, operation: CreateIndexOnline) -> None:
    """Create the index outside a transaction."""
    context = operations.migration_context
    index = _to_index(operation.index, context)
    with context.autocommit_block():
        if context.as_sql:
            operations.execute(CreateIndex(index, if_not_exists=True))
            execute(operations, _check_valid(index))
        elif _must_build(operations.get_bind(), index):
            with patience(operations.get_bind()):
                operations.execute(CreateIndex(index))


def _to_index(operation: CreateIndexOp, context: MigrationContext) -> Index:
    index = operation.to_index(context)
    assert index.table is not None
    for name in operation.kw.get("postgresql_include") or ():
        if name not in index.table.c:
            index.table.append_column(Column(name))
    return index


def _must_build(connection: Connection, index: Index) -> bool:
    assert index.name is not None
    assert index.table is not None
    there = catalogue.existing(connection, index.name, index.table.schema)
    if there is None:
        return True
    if there.table_name != index.table.name:
        raise MigrationError(
            f"The index {index.name} is one of the table {there.table_name}.",
            "Give one of the two another name.",
        )
    if there == catalogue.declared(connection, index):
        return False
    with patience(connection):
        driver(connection).execute(drop_sql(index.name, index.table.schema).encode())
    return True


def _check_valid(index: Index) -> str:
    assert index.table is not None
    name = string(quoted(str(index.name), index.table.schema))
    return f"""DO $valid$
BEGIN
    IF NOT (SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass({name})) THEN
        RAISE EXCEPTION 'index % is invalid: drop it and run this again', {name};
    END IF;
END
$valid$"""


def drop(operations: Operations, operation: DropIndexOnline) -> None:
    """Drop the index outside a transaction."""
    context = operations.migration_context
    statement = drop_sql(operation.index_name, operation.schema)
    with context.autocommit_block():
        if context.as_sql:
            execute(operations, statement)
        else:
            with patience(operations.get_bind()):
                execute(operations, statement)


def drop_sql(name: str, schema: str | None = None) -> str:
    """Return the statement that drops an index; SHARE UPDATE EXCLUSIVE on its table."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(name, schema)}"


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("create_index_online")(CreateIndexOnline)
    Operations.register_operation("drop_index_online")(DropIndexOnline)
    Operations.implementation_for(CreateIndexOnline)(create)
    Operations.implementation_for(DropIndexOnline)(drop)
