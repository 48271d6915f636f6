"""`op.partition_table_online`, `op.unpartition_table_online` and `op.add_partitions`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from psycopg.errors import (
    DataError,
    DependentObjectsStillExist,
    DuplicateTable,
    InsufficientPrivilege,
    ObjectNotInPrerequisiteState,
)
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy, bounds, driver, patiently, transaction
from pgmodern.operations.literal import execute, policy_of, run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.partitions import Table
from pgmodern.operations.rendering import call

log = logging.getLogger("pgmodern")

Block = Callable[[float], str]


class PartitionTableOnline(Operation):
    """Make a table the first partition of a partitioned one of its name; no row is copied.

    ACCESS EXCLUSIVE for an instant to add a CHECK and for another to change places; in between
    SHARE UPDATE EXCLUSIVE while the CHECK is proved by a scan. Tables that foreign keys of the
    table point at are locked SHARE ROW EXCLUSIVE for the second instant. Raises MigrationError,
    before anything is done, when PostgreSQL could not keep a key, a foreign key, a view or the
    like (manual, 5.12 Table Partitioning).
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    @classmethod
    def partition_table_online(
        cls,
        operations: Operations,
        table_name: str,
        column: str,
        *,
        interval: str | int = "1 month",
        ahead: int = 3,
        starting: object = None,
        schema: str | None = None,
    ) -> None:
        """Partition a table by ranges of a column, a new one every interval.

        Its rows stay in the first partition, which ends after today's interval, or at `starting`.
        """
        _require_one(ahead)
        until = None if starting is None else str(starting)
        operations.invoke(cls(Table(table_name, schema, column, str(interval), ahead, until)))

    @property
    def about(self) -> tuple[str | None, ...]:
        """The table."""
        return self.table.schema, self.table.name

    def reverse(self) -> UnpartitionTableOnline:
        """Return the operation that undoes this one."""
        return UnpartitionTableOnline(self.table.name, self.table.schema, self)


class UnpartitionTableOnline(Operation):
    """Put the first partition in the place of the partitioned table; ACCESS EXCLUSIVE, instant.

    No row is moved. Raises MigrationError, before anything is locked or done, when another
    partition holds rows (none is ever dropped) or the first is gone. With `if_possible` it then
    leaves the table partitioned, and says so.
    """

    def __init__(
        self,
        table_name: str,
        schema: str | None = None,
        dropped: PartitionTableOnline | None = None,
        *,
        if_possible: bool = False,
    ) -> None:
        self.table = Table(table_name, schema, if_possible=if_possible)
        self.dropped = dropped

    @classmethod
    def unpartition_table_online(
        cls,
        operations: Operations,
        table_name: str,
        *,
        if_possible: bool = False,
        schema: str | None = None,
    ) -> None:
        """Undo `op.partition_table_online`, as long as only the first partition holds rows."""
        operations.invoke(cls(table_name, schema, if_possible=if_possible))

    @property
    def about(self) -> tuple[str | None, ...]:
        """The table."""
        return self.table.schema, self.table.name

    def reverse(self) -> PartitionTableOnline:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.dropped is None:
            raise ValueError(f"how {self.table.name} was partitioned is not known")
        return self.dropped


class AddPartitions(Operation):
    """Make the partitions that come next, so that `ahead` of them are still to begin.

    Transactional; SHARE UPDATE EXCLUSIVE on the table, SHARE ROW EXCLUSIVE on those that its
    foreign keys point at. Changes nothing when there are enough. Raises MigrationError when the
    table was not partitioned by `op.partition_table_online`.
    """

    def __init__(self, table_name: str, ahead: int, schema: str | None = None) -> None:
        self.table = Table(table_name, schema, ahead=ahead)

    @classmethod
    def add_partitions(
        cls,
        operations: Operations,
        table_name: str,
        ahead: int = 3,
        *,
        schema: str | None = None,
    ) -> None:
        """Make sure that so many partitions lie ahead, each of the interval of the last one.

        Run it more often than the key advances by so many intervals: beyond the last partition
        an INSERT fails.
        """
        _require_one(ahead)
        operations.invoke(cls(table_name, ahead, schema))

    @property
    def about(self) -> tuple[str | None, ...]:
        """The table."""
        return self.table.schema, self.table.name

    def reverse(self) -> MigrateOperation:
        """Raise NotImplementedError: partitions may hold rows by then."""
        raise NotImplementedError(f"partitions of {self.table.name!r} are not dropped")


def _require_one(ahead: int) -> None:
    if ahead < 1:
        raise MigrationError(
            f"With {ahead} partitions ahead, what is written when the last one ends would fail.",
            "Let `ahead` be 1 or more; as many as may begin until somebody has seen to it.",
        )


# What a block may meet besides what it refuses itself, and the cure.
_CURES: dict[type[psycopg.Error], str] = {
    DataError: "Give an interval and a start that suit the column's type.",
    DependentObjectsStillExist: "Drop first what depends on it.",
    InsufficientPrivilege: "Migrate as the owner, from whom no row level security hides a row.",
    DuplicateTable: "Rename what has the name that a partition or its index would have.",
}


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise what a block refuses, which is undone, as the error that it is."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        assert isinstance(cause, psycopg.Error)
        cure = next((cure for kind, cure in _CURES.items() if isinstance(cause, kind)), None)
        if isinstance(cause, ObjectNotInPrerequisiteState):
            cure = cause.diag.message_hint
        if cure is None:
            raise
        raise MigrationError(cause.diag.message_primary or str(cause), cure) from error


def _run_block(
    connection: Connection, what: str, block: Block, policy: LockPolicy | None = None
) -> None:
    """Run a block in a transaction of its own, again and again until it has its locks."""

    def attempt(timeout: float) -> None:
        with transaction(connection):
            driver(connection).execute(block(timeout).encode())

    with _refusals():
        patiently(connection, what, attempt, policy)


def _run(connection: Connection, what: str, *blocks: Block) -> None:
    for block in blocks:
        _run_block(connection, what, block)


def _script(operations: Operations, *blocks: Block) -> Iterator[str]:
    return (block(policy_of(operations).timeout) for block in blocks)


def _partition(operations: Operations, operation: PartitionTableOnline) -> None:
    table = operation.table
    blocks = table.refuse, table.announce, table.validate, table.swap

    def run(connection: Connection) -> None:
        try:
            _run(connection, f"partitioning {table.name}", *blocks)
        except (MigrationError, psycopg.Error):
            _forget(connection, table)
            raise

    run_or_write(operations, run, _script(operations, *blocks))


def _forget(connection: Connection, table: Table) -> None:
    """Drop the CHECK: what fails now may not be run again before its bound has come."""
    policy = bounds(connection).policy
    if driver(connection).closed:
        return
    try:
        _run_block(connection, "dropping its CHECK", table.forget, replace(policy, deadline=10.0))
    except (MigrationError, psycopg.Error) as error:
        log.warning("a CHECK named pgmodern_before_... may be left on %s: %s", table.name, error)


def _unpartition(operations: Operations, operation: UnpartitionTableOnline) -> None:
    table = operation.table
    what, blocks = f"making {table.name} one table", (table.refuse_taking_back, table.take_back)
    run_or_write(
        operations, lambda connection: _run(connection, what, *blocks), _script(operations, *blocks)
    )


def _add(operations: Operations, operation: AddPartitions) -> None:
    with _refusals():
        execute(operations, operation.table.extend(_timeout(operations)))


def _timeout(operations: Operations) -> float:
    if operations.migration_context.as_sql:
        return policy_of(operations).timeout
    return bounds(operations.get_bind()).policy.timeout


def _render_partition(context: AutogenContext, operation: PartitionTableOnline) -> str:
    table = operation.table
    options = {"interval": table.interval, "ahead": table.ahead, "starting": table.starting}
    given = table.name, table.column
    return call(context, "partition_table_online", *given, **options, schema=table.schema)


def _render_unpartition(context: AutogenContext, operation: UnpartitionTableOnline) -> str:
    table = operation.table
    options = {"if_possible": True} if table.if_possible else {}
    return call(context, "unpartition_table_online", table.name, **options, schema=table.schema)


def _render_add(context: AutogenContext, operation: AddPartitions) -> str:
    table = operation.table
    return call(context, "add_partitions", table.name, table.ahead, schema=table.schema)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("partition_table_online")(PartitionTableOnline)
    Operations.register_operation("unpartition_table_online")(UnpartitionTableOnline)
    Operations.register_operation("add_partitions")(AddPartitions)
    Operations.implementation_for(PartitionTableOnline)(_partition)
    Operations.implementation_for(UnpartitionTableOnline)(_unpartition)
    Operations.implementation_for(AddPartitions)(_add)
    renderers.dispatch_for(PartitionTableOnline)(_render_partition)
    renderers.dispatch_for(UnpartitionTableOnline)(_render_unpartition)
    renderers.dispatch_for(AddPartitions)(_render_add)
