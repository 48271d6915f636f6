"""`op.set_not_null_online` and `op.drop_not_null_online`."""

from __future__ import annotations

from dataclasses import replace

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from sqlalchemy import Connection

from pgmodern.errors import MigrationError
from pgmodern.locks import driver, execute_briefly
from pgmodern.names import derived
from pgmodern.operations.check_constraint import check
from pgmodern.operations.constraint import Constraint, add, is_there, script, validate
from pgmodern.operations.literal import run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import quoted, string


class _NotNullOperation(Operation):
    def __init__(self, table_name: str, column_name: str, schema: str | None = None) -> None:
        self.table_name = table_name
        self.column_name = column_name
        self.schema = schema

    @property
    def table(self) -> str:
        """The quoted name of the table."""
        return quoted(self.table_name, self.schema)

    @property
    def column(self) -> str:
        """The quoted name of the column."""
        return quoted(self.column_name)

    @property
    def check(self) -> Constraint:
        """The CHECK that proves that no row holds NULL, for as long as that is needed."""
        name = derived("pgmodern_not_null", "", self.column_name)
        return check(name, self.table_name, f"{self.column} IS NOT NULL", self.schema)

    @property
    def left_over(self) -> str:
        """The SQL condition of that CHECK being there."""
        where = is_there(self.table, self.check.name)
        return f"EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE {where})"

    def state(self, what: str) -> str:
        """The query for something about the column, of its row in pg_attribute."""
        return (
            f"SELECT {what} FROM pg_catalog.pg_attribute WHERE attrelid = "
            f"to_regclass({string(self.table)}) AND attname = {string(self.column_name)}::name "
            "AND NOT attisdropped"
        )


class SetNotNullOnline(_NotNullOperation):
    """Make a column NOT NULL while the table is read and written.

    ACCESS EXCLUSIVE for an instant, to add a CHECK NOT VALID; SHARE UPDATE EXCLUSIVE, under which
    reads and writes go on, while the rows that are there are checked; ACCESS EXCLUSIVE for an
    instant, to make the column NOT NULL, which the CHECK proves without a scan, and to drop the
    CHECK. Raises MigrationError when rows hold NULL: they are named, and the CHECK stays.
    Manual: ALTER TABLE, notes.
    """

    @classmethod
    def set_not_null_online(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        schema: str | None = None,
    ) -> None:
        """Make a column NOT NULL, unless it is."""
        operations.invoke(cls(table_name, column_name, schema))

    def reverse(self) -> DropNotNullOnline:
        """Return the operation that undoes this one."""
        return DropNotNullOnline(self.table_name, self.column_name, self.schema)


class DropNotNullOnline(_NotNullOperation):
    """Let a column hold NULL; ACCESS EXCLUSIVE for an instant, no lock when it may already."""

    @classmethod
    def drop_not_null_online(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        schema: str | None = None,
    ) -> None:
        """Let a column hold NULL, if it is NOT NULL."""
        operations.invoke(cls(table_name, column_name, schema))

    def reverse(self) -> SetNotNullOnline:
        """Return the operation that undoes this one."""
        return SetNotNullOnline(self.table_name, self.column_name, self.schema)


# From PostgreSQL 18 a NOT NULL is a constraint of kind n, and may be one that is not valid.
_UNVALIDATED = (
    "(SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = attrelid AND contype = 'n' "
    "AND conkey = ARRAY[attnum] AND NOT convalidated)"
)


def _set(operations: Operations, operation: SetNotNullOnline) -> None:
    run_or_write(
        operations,
        lambda connection: _set_online(connection, operation),
        _script(operation),
    )


def _set_online(connection: Connection, operation: SetNotNullOnline) -> None:
    is_set, unvalidated, left_over = _state(connection, operation)
    if unvalidated is not None:
        validate(connection, operation.table, replace(operation.check, name=str(unvalidated)))
    elif not is_set:
        add(connection, operation.table, operation.check)
    if left_over or not is_set:
        execute_briefly(connection, *_conclusion(operation))


def _state(connection: Connection, operation: _NotNullOperation) -> tuple[object, ...]:
    query = operation.state(f"attnotnull, {_UNVALIDATED}, {operation.left_over}")
    row = driver(connection).execute(query.encode()).fetchone()
    if row is None:
        raise MigrationError(
            f"There is no column {operation.column} in {operation.table}.",
            "Add it in an earlier revision, or correct the name.",
        )
    return row


def _conclusion(operation: _NotNullOperation) -> tuple[str, str]:
    return (
        # ACCESS EXCLUSIVE for both; the CHECK must be there still when the first looks for it
        f"ALTER TABLE {operation.table} ALTER COLUMN {operation.column} SET NOT NULL",
        f"ALTER TABLE {operation.table} DROP CONSTRAINT IF EXISTS {quoted(operation.check.name)}",
    )


def _script(operation: SetNotNullOnline) -> tuple[str, ...]:
    validation = string(f"ALTER TABLE {operation.table} VALIDATE CONSTRAINT ")
    pending = operation.state(f"{validation} || quote_ident({_UNVALIDATED})")
    nullable = f"{operation.state('attrelid::regclass')} AND NOT attnotnull"
    return (
        f"DO $pending$ BEGIN EXECUTE coalesce(({pending}), 'SELECT'); END $pending$",
        script(nullable, operation.check),
        *_conclusion(operation),
    )


def _drop(operations: Operations, operation: DropNotNullOnline) -> None:
    # ACCESS EXCLUSIVE
    statement = (
        f"ALTER TABLE {operation.table} ALTER COLUMN {operation.column} DROP NOT NULL, "
        f"DROP CONSTRAINT IF EXISTS {quoted(operation.check.name)}"
    )

    def run(connection: Connection) -> None:
        is_set, _, left_over = _state(connection, operation)
        if is_set or left_over:
            execute_briefly(connection, statement)

    run_or_write(operations, run, [statement])


def _render_set(context: AutogenContext, operation: SetNotNullOnline) -> str:
    return _render(context, "set_not_null_online", operation)


def _render_drop(context: AutogenContext, operation: DropNotNullOnline) -> str:
    return _render(context, "drop_not_null_online", operation)


def _render(context: AutogenContext, directive: str, operation: _NotNullOperation) -> str:
    return call(
        context, directive, operation.table_name, operation.column_name, schema=operation.schema
    )


def register() -> None:
    """Add the directives to `op`, and their renderers to autogenerate."""
    Operations.register_operation("set_not_null_online")(SetNotNullOnline)
    Operations.register_operation("drop_not_null_online")(DropNotNullOnline)
    Operations.implementation_for(SetNotNullOnline)(_set)
    Operations.implementation_for(DropNotNullOnline)(_drop)
    renderers.dispatch_for(SetNotNullOnline)(_render_set)
    renderers.dispatch_for(DropNotNullOnline)(_render_drop)
