"""How a table is partitioned; its partitions belong to it, and none is ever dropped."""

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation
from alembic.operations.ops import (
    DropConstraintOp,
    DropIndexOp,
    DropTableOp,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Table

from pgmodern.autogenerate.catalogue import Catalogue, Name
from pgmodern.autogenerate.comparison import existing, of
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.partition_table import PartitionTableOnline
from pgmodern.operations.partitions import Table as Partitioned

INTERVAL = "partition_interval"
"""The key of a table's `info` under which the interval of its partitions is declared."""
_AHEAD = 3


def unclear(table: Table, name: Name, found: Catalogue) -> str | None:
    """Return how a table is to be partitioned, where only the server can tell if it is."""
    wanted = _declared(table)
    return None if wanted == found.partitioned.get(name) else wanted


def _declared(table: Table) -> str | None:
    declared = table.dialect_options["postgresql"]["partition_by"]
    return None if declared is None else str(declared)


def compare(
    context: AutogenContext, operations: UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Take back what Alembic would do to partitions, and compare how tables are partitioned.

    What is partitioned though no model says so is left alone.
    """
    comparison = of(context)
    found, keys = comparison.catalogue, comparison.deparsed.partition_keys
    known = {comparison.name(table) for table in context.sorted_tables}
    for operation in operations.ops:
        if isinstance(operation, ModifyTableOps):
            operation.ops[:] = [each for each in operation.ops if not _is_parent_s(each, found)]
    operations.ops[:] = [
        _kept(operation, found)
        for operation in operations.ops
        if not _is_of(operation, found.partitions - known) and not _is_empty(operation)
    ]
    for name, table in existing(context, found):
        wanted, there = _declared(table), found.partitioned.get(name)
        if wanted is not None and there not in {wanted, keys.get(table)}:
            operations.ops.append(_operation(name, table, there, keys.get(table) or wanted))
    return PriorityDispatchResult.CONTINUE


def _is_of(operation: MigrateOperation, names: set[Name]) -> bool:
    return (
        isinstance(operation, DropTableOp | ModifyTableOps)
        and (operation.schema, operation.table_name) in names
    )


def _is_empty(operation: MigrateOperation) -> bool:
    return isinstance(operation, ModifyTableOps) and operation.is_empty()


def _is_parent_s(operation: MigrateOperation, found: Catalogue) -> bool:
    """Whether it would drop what a partition has of its parent."""
    if isinstance(operation, DropIndexOp):
        name = str(operation.index_name)
    elif isinstance(operation, DropConstraintOp):
        name = str(operation.constraint_name)
    else:
        return False
    index = found.indexes.get((operation.schema, name))
    return index is not None and index.is_attached


def _kept(operation: MigrateOperation, found: Catalogue) -> MigrateOperation:
    """Return what is to be done of it: a table is not dropped with the rows of its partitions."""
    if not isinstance(operation, DropTableOp):
        return operation
    if (operation.schema, operation.table_name) not in found.partitioned:
        return operation
    return ByHand(
        operation.table_name,
        "no model declares it any more. It is partitioned, and would be dropped with all of its "
        "partitions: drop these one by one, when nobody needs their rows.",
        operation.schema,
    )


def _operation(name: Name, table: Table, there: str | None, wanted: str) -> MigrateOperation:
    schema, table_name = name
    column = _range_of_one(wanted)
    if there is None and column is not None:
        interval = str(table.info.get(INTERVAL, "1 month"))
        return PartitionTableOnline(Partitioned(table_name, schema, column, interval, _AHEAD))
    return ByHand(
        table_name,
        f"it is {f'partitioned by {there}' if there else 'not partitioned'}, and declared to be "
        f"by {wanted}. No table can be turned into that in its place: make another one, have "
        "both written, and move the rows.",
        schema,
    )


def _range_of_one(wanted: str) -> str | None:
    """Return the column of RANGE (column), as the server writes it; None for any other key."""
    strategy, _, key = wanted.partition(" ")
    inner = key.strip().removeprefix("(").removesuffix(")")
    if strategy.upper() != "RANGE" or not inner or any(mark in inner for mark in ",( "):
        return None
    return inner[1:-1].replace('""', '"') if inner.startswith('"') else inner


def register() -> None:
    """Have it run after Alembic's own comparison of tables."""
    comparators.dispatch_for("schema", qualifier="postgresql", priority=DispatchPriority.LAST)(
        compare
    )
