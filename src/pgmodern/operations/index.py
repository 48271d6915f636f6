"""`op.create_index_online`, `op.replace_index_online` and `op.drop_index_online`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from typing import Any

import psycopg
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp
from alembic.runtime.migration import MigrationContext
from psycopg.errors import DependentObjectsStillExist, UniqueViolation
from sqlalchemy import Column, Connection, Index, Table, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex

from pgmodern.errors import MigrationError
from pgmodern.indexes import catalogue
from pgmodern.indexes.catalogue import Definition
from pgmodern.locks import (
    LockPolicy,
    bounds,
    driver,
    execute_briefly,
    patience,
    patiently,
    transaction,
)
from pgmodern.names import derived
from pgmodern.operations.literal import patiently_offline, policy_of, run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.operations.successor import passed_on, tablespace
from pgmodern.quoting import DIALECT, quoted, string

_INSTANT, _COMMIT_TRIES = 0.02, 100


class CreateIndexOnline(Operation):
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

    @property
    def index_name(self) -> str:
        """The name of the index."""
        return str(self.index.index_name)

    def reverse(self) -> DropIndexOnline:
        """Return the operation that undoes this one."""
        assert self.index.index_name is not None
        return DropIndexOnline(self.index.index_name, self.index.schema, self.index)


class ReplaceIndexOnline(Operation):
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

    @property
    def index_name(self) -> str:
        """The name of the index."""
        return str(self.index.index_name)

    def reverse(self) -> ReplaceIndexOnline:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.replaced is None:
            raise ValueError(f"what {self.index.index_name} was before is not known")
        return ReplaceIndexOnline(self.replaced, self.index)


class DropIndexOnline(Operation):
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
    run_or_write(
        operations,
        lambda connection: build(connection, operation.index, context),
        build_script(operations, operation),
    )


def build(connection: Connection, index: CreateIndexOp, context: MigrationContext) -> None:
    """Have an index as it is declared; the connection must be in autocommit mode."""
    _have(connection, *_with_spare(_resolved(connection, index), context))


def build_script(
    operations: Operations, operation: CreateIndexOnline | ReplaceIndexOnline
) -> Iterator[str]:
    """Return the statements that build an index offline."""
    replaces = isinstance(operation, ReplaceIndexOnline)
    script = _replacement_script if replaces else _build_script
    return script(
        policy_of(operations), *_with_spare(operation.index, operations.migration_context)
    )


def _resolved(connection: Connection, index: CreateIndexOp) -> CreateIndexOp:
    """Name the schema that the search path finds the table in, as its indexes are there too."""
    if index.schema is None:
        index = copy(index)
        index.schema = connection.scalar(text(_SCHEMA), {"table": quoted(index.table_name)})
    return index


_SCHEMA = """
    SELECT nspname FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace
    WHERE class.oid = to_regclass(:table)
"""


def _with_spare(operation: CreateIndexOp, context: MigrationContext) -> tuple[Index, Index]:
    """Return the index, and the same under the name that a successor is built under."""
    name = str(operation.index_name)
    return _to_index(operation, name, context), _to_index(operation, derived(name, "new"), context)


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


def _have(connection: Connection, index: Index, spare: Index) -> None:
    """Leave the index valid and as it is declared; an error names what is left of a try."""
    session = driver(connection)
    try:
        patiently(
            connection, f"the index {index.name}", lambda _: _ensure(connection, index, spare)
        )
    except (MigrationError, DBAPIError, psycopg.Error) as error:
        left = [] if session.closed else _left_after_error(connection, index, spare)
        if not left:
            raise
        cause, cure = _said(error)
        raise MigrationError(
            cause,
            f"{cure} {' and '.join(left)} stayed: the next run takes up what is valid and drops "
            "what is not, `op.drop_index_online` drops both.",
        ) from error


def _said(error: MigrationError | DBAPIError | psycopg.Error) -> tuple[str, str]:
    if isinstance(error, MigrationError):
        return error.cause, error.cure
    return str(error.orig if isinstance(error, DBAPIError) else error), "Run again."


def _left_after_error(connection: Connection, index: Index, spare: Index) -> list[str]:
    """Drop what an error left that serves no query; return the names of what stays.

    One try, an error is under way. A valid successor stays: the next run has no need to build it.
    """
    once = replace(bounds(connection).policy, deadline=0)
    for each in (index, spare):
        there = _existing(connection, each)
        if there is not None and there.table_name == _table(each).name and not there.is_valid:
            with suppress(MigrationError):
                # ACCESS EXCLUSIVE, for an instant; not had while another session builds it
                execute_briefly(connection, f"DROP INDEX {_qualified(each)}", policy=once)
    found = (index, _existing(connection, index)), (spare, _existing(connection, spare))
    return [
        str(each.name)
        for each, there in found
        if there is not None and (each is spare or not there.is_valid)
    ]


def _ensure(connection: Connection, index: Index, spare: Index) -> None:
    """Leave the index valid and as it is declared, whatever there is of that name."""
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
            _require_droppable(connection, index, spare)
        if successor != wanted:
            _drop(connection, spare)
            _build(connection, _beside(connection, spare, index))
        _replace(connection, index, spare)


def _beside(connection: Connection, spare: Index, index: Index) -> Index:
    """Return the successor in the old index's tablespace, unless it names one of its own."""
    options = spare.dialect_options["postgresql"]
    if options["tablespace"] is None:
        row = driver(connection).execute(tablespace(_oid(index)).encode()).fetchone()
        options["tablespace"] = row and row[0]
    return spare


def _replace(connection: Connection, index: Index, spare: Index) -> None:
    rows = driver(connection).execute(_passed_on(index, spare).encode()).fetchall()
    if rows:
        execute_briefly(connection, *(str(statement) for (statement,) in rows))
    _drop(connection, index)
    execute_briefly(connection, _rename(spare, str(index.name)))


def _passed_on(index: Index, spare: Index) -> str:
    same = (
        "pg_get_indexdef(ours.attrelid, ours.attnum, true) = "
        "pg_get_indexdef(theirs.attrelid, theirs.attnum, true)"
    )
    return passed_on(_oid(index), _oid(spare), same)


_NEEDED = """
    SELECT CASE WHEN index.indisreplident THEN 'the replica identity of its table'
                WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = index.indexrelid)
                THEN 'a part of a partitioned index'
                ELSE (SELECT 'needed by the constraint ' || conname
                      FROM pg_catalog.pg_constraint WHERE conindid = index.indexrelid LIMIT 1) END
    FROM pg_catalog.pg_index AS index WHERE index.indexrelid = {index}
"""


def _require_droppable(connection: Connection, index: Index, spare: Index) -> None:
    """Raise MigrationError when the old index could not go once its successor is there."""
    row = driver(connection).execute(_NEEDED.format(index=_oid(index)).encode()).fetchone()
    if row is not None and row[0] is not None:
        _drop(connection, spare)  # of an earlier run, before that was so
        raise MigrationError(
            f"The index {index.name} cannot be replaced: it is {row[0]}.",
            "Change that first, or give the new index another name.",
        )


def _settled(connection: Connection, index: Index) -> Definition | None:
    """Return what is there of an index's name, once no other session is building it."""
    name, table = str(index.name), _table(index)
    there = _existing(connection, index)
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
        there = _existing(connection, index)
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


def _existing(connection: Connection, index: Index) -> Definition | None:
    return catalogue.existing(connection, str(index.name), _table(index).schema)


def _drop(connection: Connection, index: Index) -> None:
    drop_concurrently(connection, str(index.name), _table(index).schema)


def drop_concurrently(connection: Connection, name: str, schema: str | None = None) -> None:
    """Drop an index, if it is there; MigrationError when a constraint needs it."""
    try:
        with patience(connection):
            driver(connection).execute(drop_sql(name, schema).encode())
    except DependentObjectsStillExist as error:
        raise MigrationError(
            f"The index {name} is a constraint's: {error}", "Drop the constraint instead."
        ) from error


def _rename(index: Index, name: str) -> str:
    # SHARE UPDATE EXCLUSIVE on the index, for an instant
    return f"ALTER INDEX {_qualified(index)} RENAME TO {quoted(name)}"


def _table(index: Index) -> Table:
    assert index.table is not None
    return index.table


def _qualified(index: Index) -> str:
    return quoted(str(index.name), _table(index).schema)


def _oid(index: Index) -> str:
    return f"to_regclass({string(_qualified(index))})"


def _build_script(policy: LockPolicy, index: Index, _spare: Index | None = None) -> Iterator[str]:
    build = str(CreateIndex(index, if_not_exists=True).compile(dialect=DIALECT))
    yield _drop_invalid(index)
    yield from patiently_offline(build, policy)
    yield _check_valid(index)


def _replacement_script(policy: LockPolicy, index: Index, spare: Index) -> Iterator[str]:
    # Where the old index lies is not known while this is written.
    yield (
        f"DO $space$ BEGIN PERFORM set_config('default_tablespace', ({tablespace(_oid(index))}), "
        "false); END $space$"
    )
    yield from _build_script(policy, spare)
    yield "RESET default_tablespace"
    yield f"""DO $passed$
DECLARE
    statement text;
BEGIN
    FOR statement IN {_passed_on(index, spare)} LOOP
        EXECUTE statement;
    END LOOP;
END
$passed$"""
    yield from patiently_offline(drop_sql(str(index.name), _table(index).schema), policy)
    yield _rename(spare, str(index.name))


def _drop_invalid(index: Index) -> str:
    """An invalid index is not CREATE INDEX IF NOT EXISTS's to mend."""
    return f"""DO $invalid$
BEGIN
    IF NOT (SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = {_oid(index)}) THEN
        DROP INDEX {_qualified(index)};  -- ACCESS EXCLUSIVE, for an instant
    END IF;
END
$invalid$"""


def _check_valid(index: Index) -> str:
    return f"""DO $valid$
BEGIN
    IF NOT (SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = {_oid(index)}) THEN
        RAISE EXCEPTION 'index % is invalid: drop it and run this again',
            {string(_qualified(index))};
    END IF;
END
$valid$"""


def drop(operations: Operations, operation: DropIndexOnline) -> None:
    """Drop the index outside a transaction, and first what an unfinished replacement left."""
    names, schema = (derived(operation.index_name, "new"), operation.index_name), operation.schema

    def run(connection: Connection) -> None:
        for name in names:
            drop_concurrently(connection, name, schema)

    policy = policy_of(operations)
    script = (line for name in names for line in patiently_offline(drop_sql(name, schema), policy))
    run_or_write(operations, run, script)


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
