"""What a human eye should see before a revision runs: data that is lost, and what takes long."""

from collections.abc import Iterator, Sequence

from alembic.operations import MigrateOperation
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    DropColumnOp,
    DropTableOp,
    ModifyTableOps,
)

from pgmodern.autogenerate.catalogue import Catalogue, Name, Size
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline, DropReplacedColumn
from pgmodern.operations.column_expression import SetColumnExpression
from pgmodern.operations.index import CreateIndexOnline, ReplaceIndexOnline
from pgmodern.operations.not_null import SetNotNullOnline

# Rows from which a build takes minutes rather than seconds.
_LONG_BUILD = {"hnsw": 100_000, "ivfflat": 500_000, "gin": 2_000_000, "gist": 2_000_000}
_OTHER_BUILD = 20_000_000
_LONG_REWRITE = 100_000_000  # bytes
LOCKED = (
    "LOCKS WRITES: on a partitioned table nothing can be built CONCURRENTLY. Nobody writes to it, "
    "and its partitions, until this is done. For less, build it on each partition first."
)


def remarks(operation: MigrateOperation, name: Name, found: Catalogue) -> Iterator[str]:
    """Yield what is to be said of an operation on a table, one text each."""
    size = found.sizes.get(name, Size(0, 0))
    match operation:
        case DropTableOp():
            yield f"DATA LOSS: drops the table with all that it holds, {_held(size)}."
        case DropColumnOp() if name in found.sizes:
            yield from of_dropped(operation, name, found)
        case CreateIndexOnline() | ReplaceIndexOnline():
            yield from _of_build(operation, size)
        case ChangeColumnTypeOnline():
            yield (
                f"Converts {_held(size)}, in batches. What was converted stays beside it until "
                f"op.drop_replaced_column({operation.replaced.table!r}, "
                f"{operation.replaced.column!r}) in a later revision."
            )
        case ModifyTableOps():
            yield from _of_column_made_anew(operation, name, found)
        case DropReplacedColumn():
            yield (
                "DATA LOSS: drops what an earlier change of type kept of the column; the way back "
                "ends here."
            )
        case SetColumnExpression():
            yield (
                "LONG REWRITE: a column that is stored is written anew under ACCESS EXCLUSIVE, "
                f"{_held(size)}."
            )
        case SetNotNullOnline():
            yield "Refuses, and names the rows, while any holds NULL: fill them first."
        case _:
            return


def _of_column_made_anew(operation: ModifyTableOps, name: Name, found: Catalogue) -> Iterator[str]:
    size = found.sizes.get(name, Size(0, 0))
    for each in operation.ops:
        if isinstance(each, DropColumnOp):
            yield from of_dropped(each, name, found)
        computed = each.column.computed if isinstance(each, AddColumnOp) else None
        if computed is not None and computed.persisted:
            yield f"LONG REWRITE: under ACCESS EXCLUSIVE, {_held(size)}."


def of_dropped(
    operation: DropColumnOp, name: Name, found: Catalogue, gone: Sequence[str] = ()
) -> Iterator[str]:
    """Yield what is to be said of a column that is dropped, and the constraints that go with it.

    A generated column holds nothing of its own.
    """
    size = found.sizes.get(name, Size(0, 0))
    if operation.to_column().computed is None:
        yield f"DATA LOSS: drops what the column holds in {_held(size)}."
    for each in gone:
        yield f"It takes the constraint {each} with it, which the way back does not make again."


def of_rewrite(name: Name, found: Catalogue) -> Iterator[str]:
    """Yield what is to be said of a column that is added with a value for every row."""
    size = found.sizes.get(name, Size(0, 0))
    yield (
        f"LONG REWRITE: every row is written anew under ACCESS EXCLUSIVE, {_held(size)}. Where "
        "that is too long, add the column without it and fill it with op.backfill_online."
    )


def of_way_back(operation: MigrateOperation, name: Name, found: Catalogue) -> Iterator[str]:
    """Yield what is to be said of a downgrade whose upgrade took an instant."""
    if isinstance(operation, AlterColumnOp) and operation.modify_type is not None:
        size = found.sizes.get(name, Size(0, 0))
        yield (
            "LONG REWRITE: what took an instant on the way up may check or write every row on "
            f"the way down, under ACCESS EXCLUSIVE, {_held(size)}."
        )


def _of_build(operation: CreateIndexOnline | ReplaceIndexOnline, size: Size) -> Iterator[str]:
    method = operation.index.kw.get("postgresql_using") or "btree"
    if size.rows >= _LONG_BUILD.get(str(method), _OTHER_BUILD):
        yield (
            f"LONG BUILD: {method} over {_held(size)}. Reads and writes go on; give the server "
            "maintenance_work_mem, and the deploy the time."
        )


def _held(size: Size) -> str:
    amount, unit = float(size.bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"about {size.rows:,} rows ({amount:.0f} {unit})"
