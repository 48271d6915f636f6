"""`op.backfill_online`."""

from __future__ import annotations

from dataclasses import asdict

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from sqlalchemy import Connection

from pgmodern import backfill
from pgmodern.backfill import Backfill
from pgmodern.operations.literal import run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.throttle import Throttle


class BackfillOnline(Operation):
    """Run a statement over a whole table in batches, each its own transaction.

    Locks the rows of one batch at a time. Killed, it goes on where it stopped when run again.
    There is nothing to reverse: what a backfill filled goes with its column.
    """

    def __init__(self, backfill: Backfill, throttle: Throttle | None = None) -> None:
        self.backfill = backfill
        self.throttle = throttle

    @classmethod
    def backfill_online(
        cls,
        operations: Operations,
        name: str,
        *,
        table: str,
        statement: str,
        key: str = "id",
        key_type: str = "bigint",
        schema: str | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        """Run the statement, which holds `{range}` as its condition on the key, over the table."""
        operations.invoke(cls(Backfill(name, table, key, key_type, statement, schema), throttle))

    @property
    def about(self) -> tuple[str | None, ...]:
        """The backfill and its table."""
        return self.backfill.schema, self.backfill.table, self.backfill.name

    def reverse(self) -> MigrateOperation:
        """Raise NotImplementedError: what the rows held before is not kept."""
        raise NotImplementedError(f"backfill {self.backfill.name!r} cannot be undone")


def run_online(operations: Operations, operation: BackfillOnline) -> None:
    """Run the backfill, or write the block that does."""

    def run(connection: Connection) -> None:
        backfill.run(connection, operation.backfill, throttle=operation.throttle)

    run_or_write(operations, run, [backfill.offline(operation.backfill)])


def _render(context: AutogenContext, operation: BackfillOnline) -> str:
    options = asdict(operation.backfill)
    if operation.throttle is not None:
        context.imports.add("from pgmodern import Throttle")
    return call(
        context, "backfill_online", options.pop("name"), **options, throttle=operation.throttle
    )


def register() -> None:
    """Add the directive to `op`."""
    Operations.register_operation("backfill_online")(BackfillOnline)
    Operations.implementation_for(BackfillOnline)(run_online)
    renderers.dispatch_for(BackfillOnline)(_render)
