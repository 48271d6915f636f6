"""`op.backfill_online`."""

from __future__ import annotations

from alembic.operations import MigrateOperation, Operations

from pgmodern import backfill
from pgmodern.backfill import Backfill
from pgmodern.operations.literal import execute


class BackfillOnline(MigrateOperation):
    """Run a statement over a whole table in batches, each its own transaction.

    Locks the rows of one batch at a time. Killed, it goes on where it stopped when run again.
    There is nothing to reverse: what a backfill filled goes with its column.
    """

    def __init__(self, backfill: Backfill) -> None:
        self.backfill = backfill

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
    ) -> None:
        """Run the statement, which holds `{range}` as its condition on the key, over the table."""
        operations.invoke(cls(Backfill(name, table, key, key_type, statement)))


def run_online(operations: Operations, operation: BackfillOnline) -> None:
    """Run the backfill, or write the block that does."""
    context = operations.migration_context
    with context.autocommit_block():
        if context.as_sql:
            execute(operations, backfill.offline(operation.backfill))
        else:
            backfill.run(operations.get_bind(), operation.backfill)


def register() -> None:
    """Add the directive to `op`."""
    Operations.register_operation("backfill_online")(BackfillOnline)
    Operations.implementation_for(BackfillOnline)(run_online)
