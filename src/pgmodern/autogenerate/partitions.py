"""Partitions belong to their table: no model declares them, and none is to be dropped for it."""

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import DropTableOp, ModifyTableOps, UpgradeOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import text

_PARTITIONS = text("""
    SELECT nullif(nspname, current_schema()), relname
    FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace
    WHERE relispartition AND relkind IN ('r', 'p')
""")


def keep_partitions(
    context: AutogenContext, upgrade_ops: UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Take back what Alembic would do to partitions that the metadata does not know."""
    assert context.connection is not None
    known = {(table.schema, table.name) for table in context.sorted_tables}
    partitions = {(row[0], row[1]) for row in context.connection.execute(_PARTITIONS)} - known
    upgrade_ops.ops[:] = [
        operation
        for operation in upgrade_ops.ops
        if not isinstance(operation, DropTableOp | ModifyTableOps)
        or (operation.schema, operation.table_name) not in partitions
    ]
    return PriorityDispatchResult.CONTINUE


def register() -> None:
    """Have it run after Alembic's own comparison of tables."""
    comparators.dispatch_for("schema", qualifier="postgresql", priority=DispatchPriority.LAST)(
        keep_partitions
    )
