"""`op.change_column_type_online` and `op.drop_replaced_column`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation
from sqlalchemy import Connection
from sqlalchemy.types import TypeEngine

from pgmodern import backfill
from pgmodern.errors import MigrationError
from pgmodern.indexes.catalogue import require_temporary
from pgmodern.locks import bounds, driver, execute_briefly, patience, patiently
from pgmodern.operations.literal import execute, policy_of, run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.operations.replaced_column import (
    NAMED,
    STALE,
    UNCONVERTED,
    ColumnChange,
    ReplacedColumn,
)
from pgmodern.operations.replaced_column.script import locked, script, swap
from pgmodern.quoting import DIALECT, quoted, string
from pgmodern.unfinished import forget

Rows = list[tuple[Any, ...]]


class ChangeColumnTypeOnline(Operation):
    """Give a column another type while the table is read and written.

    A new column is filled by a trigger and a backfill, gets the column's indexes and constraints,
    and takes its name; the old one stays until `op.drop_replaced_column`. ACCESS EXCLUSIVE for an
    instant to add the column, for each constraint, and for the swap of names; SHARE UPDATE
    EXCLUSIVE while indexes are built and constraints validated; rows of one batch at a time.

    Raises MigrationError, before anything is done, when something depends on the column that
    cannot be carried over, and before the swap, with the keys of the rows, when rows cannot be
    converted. PostgreSQL manual: ALTER TABLE, notes.
    """

    def __init__(
        self,
        table_name: str,
        column_name: str,
        type_: str | None,
        using: str | None = None,
        reverse_using: str | None = None,
        key: str = "id",
        key_type: str = "bigint",
        schema: str | None = None,
        existing_type: str | None = None,
        rehearse: bool = False,
    ) -> None:
        self.replaced = ReplacedColumn(table_name, column_name, schema)
        self.change = ColumnChange(
            self.replaced, type_, using, reverse_using, existing_type, key, key_type, rehearse
        )

    @classmethod
    def change_column_type_online(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        type_: str | TypeEngine[Any] | None,
        *,
        using: str | None = None,
        reverse_using: str | None = None,
        key: str = "id",
        key_type: str = "bigint",
        schema: str | None = None,
        existing_type: str | None = None,
        rehearse: bool = False,
    ) -> None:
        """Change a column's type; `using` and `reverse_using` are expressions of the column.

        `type_` None is the type of the old column while it is there, then that of `using`. Where
        `existing_type` is given, a column that is neither of it nor of `type_` is refused. With
        `rehearse` one scan converts every row for trial before anything is done.
        """
        if isinstance(type_, TypeEngine):
            type_ = str(type_.compile(DIALECT))
        operations.invoke(
            cls(
                table_name,
                column_name,
                type_,
                using,
                reverse_using,
                key,
                key_type,
                schema,
                existing_type,
                rehearse,
            )
        )

    @property
    def about(self) -> tuple[str | None, ...]:
        """The column."""
        return self.replaced.schema, self.replaced.table, self.replaced.column

    def reverse(self) -> ChangeColumnTypeOnline:
        """Return the operation that goes back; raises MigrationError without `reverse_using`."""
        change = self.change
        if change.reverse_using is None:
            raise MigrationError(
                f"The type of {self.replaced.table}.{self.replaced.column} cannot be changed back: "
                "what was written since then is not kept in the old type.",
                "Give `reverse_using`, an expression of the column that converts it back.",
            )
        return ChangeColumnTypeOnline(
            self.replaced.table,
            self.replaced.column,
            change.existing_type,
            change.reverse_using,
            change.using or quoted(self.replaced.column),
            change.key,
            change.key_type,
            self.replaced.schema,
            change.type,
            change.rehearse,
        )


class DropReplacedColumn(Operation):
    """Drop the column that a change of type left, and the trigger that keeps it; transactional.

    ACCESS EXCLUSIVE for an instant. After it, going back converts every row again.
    """

    def __init__(self, table_name: str, column_name: str, schema: str | None = None) -> None:
        self.replaced = ReplacedColumn(table_name, column_name, schema)

    @classmethod
    def drop_replaced_column(
        cls, operations: Operations, table_name: str, column_name: str, *, schema: str | None = None
    ) -> None:
        """Drop what `op.change_column_type_online` kept of the column, if it is there."""
        operations.invoke(cls(table_name, column_name, schema))

    @property
    def about(self) -> tuple[str | None, ...]:
        """The column."""
        return self.replaced.schema, self.replaced.table, self.replaced.column

    def reverse(self) -> MigrateOperation:
        """Raise NotImplementedError: what was dropped is gone."""
        raise NotImplementedError(f"what {self.replaced.column!r} was is dropped")


def _change(operations: Operations, operation: ChangeColumnTypeOnline) -> None:
    change, policy = operation.change, policy_of(operations)
    run_or_write(operations, lambda connection: _run(connection, change), [script(change, policy)])


def _run(connection: Connection, change: ColumnChange) -> None:
    require_temporary(connection)
    driver(connection).execute(";".join(change.functions).encode())
    _refuse(connection, change)
    state = _rows(connection, "SELECT direction, shadow, target FROM pg_temp.pgmodern_state()")[0]
    if state[0] == "done":
        if left := [row[0] for row in _rows(connection, "SELECT pg_temp.pgmodern_abandoned()")]:
            execute_briefly(connection, *left)
        return
    shadow, target = str(state[1]), str(state[2])
    if state[0] == "forth":
        _fill(connection, change, target)
    _require_converted(connection, change, shadow, target)
    try:
        _build(connection, change)
        _swap(connection, change, shadow, target)
    except (MigrationError, psycopg.Error):
        if not driver(connection).closed:
            _withdraw(connection)
        raise


def _swap(connection: Connection, change: ColumnChange, shadow: str, target: str) -> None:
    try:
        execute_briefly(connection, *swap(change))
    except psycopg.Error as error:
        if error.sqlstate == UNCONVERTED:
            _require_converted(connection, change, shadow, target)
        if error.sqlstate == STALE:
            raise MigrationError(
                f"{change.names.table} was altered while its column was about to be replaced.",
                "The column is as it was. Run again: what was altered is taken up.",
            ) from error
        raise


def _withdraw(connection: Connection) -> None:
    """Drop what would refuse writes for the new column's sake; one try, an error is under way."""
    once = replace(bounds(connection).policy, deadline=0)
    with suppress(MigrationError, psycopg.Error):
        for (statement,) in _rows(connection, "SELECT pg_temp.pgmodern_withdrawn()"):
            execute_briefly(connection, statement, policy=once)


def _refuse(connection: Connection, change: ColumnChange) -> None:
    column = f"{change.names.table}.{change.names.column}"
    try:
        found = _rows(connection, "SELECT * FROM pg_temp.pgmodern_refusals()")
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
        found = [(error.diag.message_primary,)]
    if found:
        raise MigrationError(
            f"The type of {column} cannot be changed: {'; '.join(str(row[0]) for row in found)}.",
            "Nothing was done. What depends on the column: drop it before, and create it again "
            "after the change. An expression or a type: correct it.",
        )


def _fill(connection: Connection, change: ColumnChange, target: str) -> None:
    if _rows(connection, "SELECT NOT pg_temp.pgmodern_is_filling()")[0][0]:
        if change.rehearse:
            _require_none(connection, change, None, target)
        forget(connection, change.backfill().name)
        execute_briefly(connection, *locked(change, "begin"))
    backfill.run(connection, change.backfill())


def _build(connection: Connection, change: ColumnChange) -> None:
    session = driver(connection)
    try:
        for step in ("left", "indexes"):
            for (statement,) in _rows(connection, f"SELECT pg_temp.pgmodern_{step}()"):
                with patience(connection):
                    session.execute(statement.encode())
        for step in ("missing", "validations"):
            for (statement,) in _rows(connection, f"SELECT pg_temp.pgmodern_{step}()"):
                execute_briefly(connection, statement)
    except (CheckViolation, ForeignKeyViolation, UniqueViolation) as error:
        raise _violated(connection, change, error) from error


def _violated(connection: Connection, change: ColumnChange, error: psycopg.Error) -> MigrationError:
    column = f"{change.names.table}.{change.names.column}"
    found = error.diag.message_detail or f"Keys: {_violating(connection, change)}."
    return MigrationError(
        f"Rows of {column}, converted, break what holds of it: {error.diag.message_primary}. "
        f"{found}",
        "The column is as it was. Correct these rows, or write `using` so that it does not come "
        "to this, then run again.",
    )


def _violating(connection: Connection, change: ColumnChange) -> str:
    """Return the keys of rows that break a constraint that could not be validated."""
    checks = _rows(
        connection,
        "SELECT pg_get_expr(k.conbin, k.conrelid) FROM pg_temp.pgmodern_constraints() AS wanted "
        "JOIN pg_catalog.pg_constraint AS k ON k.conname = wanted.made AND k.contype = 'c' "
        f"AND k.conrelid = to_regclass({string(change.names.relation)}) AND NOT k.convalidated "
        "WHERE wanted.valid",
    )
    broken = " OR ".join(f"({check}) IS FALSE" for (check,) in checks) or "false"
    key, rows = quoted(change.key), f"FROM {change.names.relation} AS rows WHERE {broken}"
    count = int(_rows(connection, f"SELECT count(*) {rows}")[0][0])
    keys = _rows(connection, f"SELECT {key}::text {rows} ORDER BY rows.{key} LIMIT {NAMED}")
    more = f" and {count - NAMED} more" if count > NAMED else ""
    return ", ".join(str(row[0]) for row in keys) + more


def _require_converted(
    connection: Connection, change: ColumnChange, shadow: str, target: str
) -> None:
    _require_none(connection, change, f"{quoted(shadow)} IS NULL", target)


def _require_none(
    connection: Connection, change: ColumnChange, among: str | None, target: str
) -> None:
    """Raise MigrationError when there are rows that cannot be converted, by reason."""
    condition = "NULL" if among is None else string(among)
    query = f"SELECT * FROM pg_temp.pgmodern_unconvertible({condition})"
    if found := _rows(connection, query):
        reasons = "; ".join(f"{reason}. Keys: {keys}" for reason, _, keys in found)
        raise MigrationError(
            f"{sum(row[1] for row in found)} rows of {change.names.table}.{change.names.column} "
            f"cannot be converted to {target}: {reasons}.",
            "The column is as it was, and nothing is lost. Correct these rows, set the column to "
            "NULL in them, or write `using` so that it converts them; then run again.",
        )


def _rows(connection: Connection, query: str) -> Rows:
    return patiently(
        connection, query, lambda _: driver(connection).execute(query.encode()).fetchall()
    )


def _drop(operations: Operations, operation: DropReplacedColumn) -> None:
    names = operation.replaced
    statements = "\n        ".join(f"{each};" for each in names.drop())
    # Before the swap the trigger fills the new column: it is not ours to drop then.
    execute(
        operations,
        f"""DO $pgmodern$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid = to_regclass({string(names.relation)})
                 AND attname = {string(names.old)} AND NOT attisdropped) THEN
        {statements}
    END IF;
END
$pgmodern$""",
    )


def _render_change(context: AutogenContext, operation: ChangeColumnTypeOnline) -> str:
    change, names = operation.change, operation.replaced
    return call(
        context,
        "change_column_type_online",
        names.table,
        names.column,
        change.type,
        using=change.using,
        reverse_using=change.reverse_using,
        key=change.key,
        key_type=change.key_type,
        schema=names.schema,
        existing_type=change.existing_type,
        rehearse=change.rehearse or None,
    )


def _render_drop(context: AutogenContext, operation: DropReplacedColumn) -> str:
    names = operation.replaced
    return call(context, "drop_replaced_column", names.table, names.column, schema=names.schema)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("change_column_type_online")(ChangeColumnTypeOnline)
    Operations.register_operation("drop_replaced_column")(DropReplacedColumn)
    Operations.implementation_for(ChangeColumnTypeOnline)(_change)
    Operations.implementation_for(DropReplacedColumn)(_drop)
    renderers.dispatch_for(ChangeColumnTypeOnline)(_render_change)
    renderers.dispatch_for(DropReplacedColumn)(_render_drop)
