"""`op.create_index_online`, `op.replace_index_online` and `op.drop_index_online`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import CreateIndexOp
from alembic.runtime.migration import MigrationContext
from psycopg.errors import DependentObjectsStillExist, UniqueViolation
from sqlalchemy import Column, Connection, Index, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex

from pgmodern.errors import MigrationError
from pgmodern.indexes import catalogue
from pgmodern.indexes.catalogue import Definition, quoted
from pgmodern.locks import driver, execute_briefly, patience, patiently, transaction
from pgmodern.operations.literal import execute, patiently_offline, string
from pgmodern.operations.names import derived
from pgmodern.operations.rendering import call

_INSTANT, _COMMIT_TRIES = 0.02, 100


class CreateIndexOnline(MigrateOperation):
    """Build an index while the table is read and written.

    SHARE UPDATE EXCLUSIVE on the table; waits for the transactions that are older than it.
    An index of that name with the same definition that is valid is left as it is. One that
    another session builds is waited for. An invalid one (what a killed build leaves) is dropped
    and built anew; one of another definition serves until its successor is there. Raises
    MigrationError when the name is taken by an index of another table, and when rows stand
    against a unique index.
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
        operations.invoke(cls(_concurrent(index_name, table_name, columns, schema, unique, kw)))

    def reverse(self) -> DropIndexOnline:
        """Return the operation that undoes this one."""
        assert self.index.index_name is not None
        return DropIndexOnline(self.index.index_name, self.index.schema, self.index)


class ReplaceIndexOnline(MigrateOperation):
    """Give an index another definition; queries never lose its cover.

    The successor is built first, under a name of ours, then the old one is dropped, then the name
    taken over. SHARE UPDATE EXCLUSIVE on the table throughout. `replaced` is what was there, for
    the way back.
    """

    def __init__(self, index: CreateIndexOp, replaced: CreateIndexOp | None = None) -> None:
        self.index = index
        self.replaced = replaced

    @classmethod
    def replace_index_online(
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
        """Replace an index by one of the same name; takes what `op.create_index` takes."""
        operations.invoke(cls(_concurrent(index_name, table_name, columns, schema, unique, kw)))

    def reverse(self) -> ReplaceIndexOnline:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.replaced is None:
            raise ValueError(f"what {self.index.index_name} was before is not known")
        return ReplaceIndexOnline(self.replaced, self.index)


class DropIndexOnline(MigrateOperation):
    """Drop an index while the table is read and written, if it is there.

    SHARE UPDATE EXCLUSIVE on the table; waits for the transactions that use the index.
    """

    def __init__(
        self, index_name: str, schema: str | None = None, dropped: CreateIndexOp | None = None
    ) -> None:
        self.index_name = index_name
        self.schema = schema
        self.dropped = dropped

    @classmethod
    def drop_index_online(
        cls, operations: Operations, index_name: str, *, schema: str | None = None
    ) -> None:
        """Drop an index CONCURRENTLY, if it exists."""
        operations.invoke(cls(index_name, schema))

    def reverse(self) -> CreateIndexOnline:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.dropped is None:
            raise ValueError(f"what {self.index_name} was is not known")
        return CreateIndexOnline(self.dropped)


def _concurrent(
    name: str,
    table: str,
    columns: Sequence[str | TextClause],
    schema: str | None,
    unique: bool,
    options: dict[str, Any],
) -> CreateIndexOp:
    options = options | {"postgresql_concurrently": True}
    return CreateIndexOp(name, table, columns, schema=schema, unique=unique, **options)


def create(operations: Operations, operation: CreateIndexOnline | ReplaceIndexOnline) -> None:
    """Have the index as it is declared, outside a transaction."""
    context = operations.migration_context
    name = str(operation.index.index_name)
    wanted = operation.index if context.as_sql else _resolved(operations, operation.index)

    def named(other: str) -> Index:
        return _to_index(wanted, other, context)

    with context.autocommit_block():
        if not context.as_sql:
            connection = operations.get_bind()
            patiently(connection, f"the index {name}", lambda _: _ensure(connection, name, named))
        elif isinstance(operation, ReplaceIndexOnline):
            _write_replacement(operations, named(name), named(_spare(name)))
        else:
            _write_build(operations, named(name))


def _resolved(operations: Operations, index: CreateIndexOp) -> CreateIndexOp:
    """Name the schema that the search path finds the table in, as its indexes are there too."""
    if index.schema is None:
        index = copy(index)
        table = {"table": quoted(index.table_name)}
        index.schema = operations.get_bind().scalar(text(_SCHEMA), table)
    return index


_SCHEMA = """
    SELECT nspname FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace
    WHERE class.oid = to_regclass(:table)
"""


def _to_index(operation: CreateIndexOp, name: str, context: MigrationContext) -> Index:
    operation = copy(operation)
    operation.index_name = name
    index = operation.to_index(context)
    assert index.table is not None
    for column in operation.kw.get("postgresql_include") or ():
        if column not in index.table.c:
            index.table.append_column(Column(column))
    index.dialect_options["postgresql"]["concurrently"] = True
    return index


def _ensure(connection: Connection, name: str, named: Callable[[str], Index]) -> None:
    """Leave the index valid and as it is declared, whatever there is of that name."""
    index, spare = named(name), named(_spare(name))
    wanted = catalogue.declared(connection, index)
    there, successor = _settled(connection, index), _settled(connection, spare)
    if there is not None and not there.is_valid:
        _drop(connection, index)
        there = None
    if there == wanted:
        _drop(connection, spare)
    elif there is None and successor is None:
        _build(connection, index)
    else:
        if there is not None:
            _require_droppable(connection, index)
        if successor != wanted:
            _drop(connection, spare)
            _build(connection, spare)
        _drop(connection, index)
        execute_briefly(connection, _rename(spare, name))


_NEEDED = """
    SELECT CASE WHEN index.indisreplident THEN 'the replica identity of its table'
                WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = index.indexrelid)
                THEN 'a part of a partitioned index'
                ELSE (SELECT 'needed by the constraint ' || conname
                      FROM pg_catalog.pg_constraint WHERE conindid = index.indexrelid LIMIT 1) END
    FROM pg_catalog.pg_index AS index WHERE index.indexrelid = to_regclass({name})
"""


def _require_droppable(connection: Connection, index: Index) -> None:
    """Raise MigrationError when the old index could not go once its successor is there."""
    name = _qualified(index)
    row = driver(connection).execute(_NEEDED.format(name=string(name)).encode()).fetchone()
    if row is not None and row[0] is not None:
        raise MigrationError(
            f"The index {index.name} cannot be replaced: it is {row[0]}.",
            "Change that first, or give the new index another name.",
        )


def _settled(connection: Connection, index: Index) -> Definition | None:
    """Return what is there of an index's name, once no other session is building it."""
    assert index.table is not None
    name, table = str(index.name), index.table
    there = catalogue.existing(connection, name, table.schema)
    if there is None or (there.is_valid and there.table_name == table.name):
        return there
    if there.table_name != table.name:
        raise MigrationError(
            f"The index {name} is one of the table {there.table_name}.",
            "Give one of the two another name.",
        )
    started = time.monotonic()
    # Whoever builds an index holds this lock until the end. No snapshot is needed for LOCK, so
    # the builder does not wait for us in turn.
    lock = f"LOCK TABLE {quoted(table.name, table.schema)} IN SHARE UPDATE EXCLUSIVE MODE"
    with patience(connection), transaction(connection):
        driver(connection).execute(lock.encode())
    had_to_wait = time.monotonic() - started > _INSTANT
    for _ in range(_COMMIT_TRIES if had_to_wait else 1):
        there = catalogue.existing(connection, name, table.schema)
        if there is None or there.is_valid:
            break
        time.sleep(_INSTANT)  # the builder lets go of the lock just before it commits
    return there


def _build(connection: Connection, index: Index) -> None:
    try:
        with patience(connection):
            connection.execute(CreateIndex(index))
    except DBAPIError as error:
        if not isinstance(error.orig, UniqueViolation):
            raise
        _drop(connection, index)
        raise MigrationError(
            f"The index {index.name} cannot be unique: {error.orig.diag.message_detail}",
            "Remove the duplicates, then run again; the unfinished index was dropped.",
        ) from error


def _drop(connection: Connection, index: Index) -> None:
    assert index.table is not None
    drop_concurrently(connection, str(index.name), index.table.schema)


def drop_concurrently(connection: Connection, name: str, schema: str | None = None) -> None:
    """Drop an index, if it is there; MigrationError when a constraint needs it."""
    try:
        with patience(connection):
            driver(connection).execute(drop_sql(name, schema).encode())
    except DependentObjectsStillExist as error:
        raise MigrationError(
            f"The index {name} is a constraint's: {error}", "Drop the constraint instead."
        ) from error


def _spare(name: str) -> str:
    """The name under which a successor is built."""
    return derived(name, "new")


def _rename(index: Index, name: str) -> str:
    # SHARE UPDATE EXCLUSIVE on the index, for an instant
    return f"ALTER INDEX {_qualified(index)} RENAME TO {quoted(name)}"


def _qualified(index: Index) -> str:
    assert index.table is not None
    return quoted(str(index.name), index.table.schema)


def _write_build(operations: Operations, index: Index) -> None:
    execute(operations, _drop_invalid(index))
    with patiently_offline(operations):
        operations.execute(CreateIndex(index, if_not_exists=True))
    execute(operations, _check_valid(index))


def _write_replacement(operations: Operations, index: Index, spare: Index) -> None:
    assert index.table is not None
    _write_build(operations, spare)
    with patiently_offline(operations):
        execute(operations, drop_sql(str(index.name), index.table.schema))
    execute(operations, _rename(spare, str(index.name)))


def _drop_invalid(index: Index) -> str:
    """An invalid index is not CREATE INDEX IF NOT EXISTS's to mend."""
    name = _qualified(index)
    return f"""DO $invalid$
BEGIN
    IF NOT (SELECT indisvalid FROM pg_catalog.pg_index
            WHERE indexrelid = to_regclass({string(name)})) THEN
        DROP INDEX {name};  -- ACCESS EXCLUSIVE, for an instant
    END IF;
END
$invalid$"""


def _check_valid(index: Index) -> str:
    name = string(_qualified(index))
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
    with context.autocommit_block():
        if context.as_sql:
            with patiently_offline(operations):
                execute(operations, drop_sql(operation.index_name, operation.schema))
            return
        connection = operations.get_bind()
        for name in (operation.index_name, _spare(operation.index_name)):
            drop_concurrently(connection, name, operation.schema)


def drop_sql(name: str, schema: str | None = None) -> str:
    """Return the statement that drops an index; SHARE UPDATE EXCLUSIVE on its table."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(name, schema)}"


def _render_create(
    context: AutogenContext, operation: CreateIndexOnline | ReplaceIndexOnline
) -> str:
    (plain,) = render_op(context, operation.index)
    directive = "create" if isinstance(operation, CreateIndexOnline) else "replace"
    return plain.replace("create_index(", f"{directive}_index_online(", 1).replace(
        ", postgresql_concurrently=True", ""
    )


def _render_drop(context: AutogenContext, operation: DropIndexOnline) -> str:
    return call(context, "drop_index_online", operation.index_name, schema=operation.schema)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("create_index_online")(CreateIndexOnline)
    Operations.register_operation("replace_index_online")(ReplaceIndexOnline)
    Operations.register_operation("drop_index_online")(DropIndexOnline)
    Operations.implementation_for(CreateIndexOnline)(create)
    Operations.implementation_for(ReplaceIndexOnline)(create)
    Operations.implementation_for(DropIndexOnline)(drop)
    renderers.dispatch_for(CreateIndexOnline)(_render_create)
    renderers.dispatch_for(ReplaceIndexOnline)(_render_create)
    renderers.dispatch_for(DropIndexOnline)(_render_drop)
