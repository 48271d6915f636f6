"""What is written into a revision is the operation that was rendered; each has its way back."""

from collections.abc import Callable
from typing import Any

import pytest
from alembic.operations import MigrateOperation
from alembic.operations.ops import CreateIndexOp

from pgmodern import Throttle
from pgmodern.backfill import Backfill
from pgmodern.operations.adopt_table import AdoptTable, ReleaseTable
from pgmodern.operations.backfill import BackfillOnline
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline, DropReplacedColumn
from pgmodern.operations.change_notification import (
    CreateChangeNotification,
    DropChangeNotification,
)
from pgmodern.operations.check_constraint import AddCheckConstraintOnline
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.extension import CreateExtension, DropExtension
from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline, ReplaceIndexOnline
from pgmodern.operations.not_null import SetNotNullOnline
from pgmodern.operations.partition_table import (
    AddPartitions,
    PartitionTableOnline,
    UnpartitionTableOnline,
)
from pgmodern.operations.partitions import Table
from pgmodern.operations.search_vector import AddSearchVectorOnline, DropSearchVectorOnline
from pgmodern.operations.text_search_configuration import (
    CreateTextSearchConfiguration,
    DropTextSearchConfiguration,
)

Render = Callable[[MigrateOperation], str]

ODD = 'it\'s "odd": %s {x}'
INDEX = CreateIndexOp(ODD, "songs", ["title"], schema="music", postgresql_concurrently=True)
OTHER = CreateIndexOp(ODD, "songs", ["id"], schema="music", postgresql_concurrently=True)
REVERSIBLE: list[Any] = [
    AdoptTable(ODD, ("CREATE TABLE x ()", "CREATE INDEX ON x (a)")),
    CreateExtension(ODD, "1.6", "because"),
    CreateIndexOnline(INDEX),
    ReplaceIndexOnline(INDEX, OTHER),
    AddSearchVectorOnline(ODD, "words", {"a": "A", "b": "D"}, "x.y", "id", "uuid", "music", "ix"),
    CreateTextSearchConfiguration(ODD, "pg_catalog.french", "pg_catalog.french_stem"),
    AddCheckConstraintOnline(ODD, "songs", "title <> '%s'", "music"),
    AddForeignKeyOnline(
        ForeignKey(ODD, "songs", "artists", ["a"], ["b"], ondelete="SET NULL", source_schema="m")
    ),
    SetNotNullOnline("songs", ODD, "music"),
    PartitionTableOnline(Table(ODD, "music", "played", "1 month", 5, "2030-01-01")),
    CreateChangeNotification(ODD, ["id", ODD], ODD, "music"),
]
UNKNOWN: list[Any] = [
    ReleaseTable(ODD),
    DropIndexOnline(ODD),
    ReplaceIndexOnline(INDEX),
    DropSearchVectorOnline(ODD, "words"),
    DropTextSearchConfiguration(ODD),
    DropConstraintOnline(ODD, "songs"),
    UnpartitionTableOnline(ODD),
    DropChangeNotification(ODD),
]
BACKFILL = Backfill(ODD, "songs", "id", "uuid", "UPDATE songs SET a = '%s' WHERE {range}", "music")
ALL = [
    *REVERSIBLE,
    *(each.reverse() for each in REVERSIBLE),
    BackfillOnline(BACKFILL),
    BackfillOnline(BACKFILL, Throttle(rest=0.5, wal=None)),
    DropExtension(ODD),
    AddPartitions(ODD, 4, "music"),
    ChangeColumnTypeOnline("t", ODD, "bigint", "a::int", "a::text", "k", "uuid", "music", "text"),
    DropReplacedColumn("t", ODD, "music"),
]


class Recorder:
    """Stands for `op`: remembers what a directive invokes, and runs nothing."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.invoked: list[Any] = []

    def __getattr__(self, directive: str) -> Callable[..., None]:
        return lambda *given, **options: getattr(self.kind, directive)(self, *given, **options)

    def invoke(self, operation: Any) -> None:
        """Remember it."""
        self.invoked.append(operation)


def content(operation: Any) -> dict[str, Any]:
    """Return what an operation is, but for the memory of what it undoes."""
    found = {
        k: v for k, v in vars(operation).items() if k not in {"dropped", "replaced", "released"}
    }
    if isinstance(index := found.get("index"), CreateIndexOp):
        found["index"] = {k: v for k, v in vars(index).items() if k != "_orig_index"}
    return found


@pytest.mark.parametrize("operation", ALL, ids=lambda each: type(each).__name__)
def test_what_is_written_is_the_operation(operation: Any, render: Render) -> None:
    recorder = Recorder(type(operation))
    exec(render(operation), {"op": recorder, "Throttle": Throttle})
    (found,) = recorder.invoked
    assert content(found) == content(operation)


@pytest.mark.parametrize("operation", REVERSIBLE, ids=lambda each: type(each).__name__)
def test_the_way_back_and_forth_again_is_the_operation(operation: Any) -> None:
    there_and_back = operation.reverse().reverse()
    assert type(there_and_back) is type(operation)
    if not isinstance(operation, CreateExtension):  # its minimum version is not remembered
        assert content(there_and_back) == content(operation)


@pytest.mark.parametrize("operation", UNKNOWN, ids=lambda each: type(each).__name__)
def test_what_is_not_known_cannot_be_reversed(operation: Any) -> None:
    with pytest.raises(ValueError, match="odd"):
        operation.reverse()


def test_some_cannot_be_reversed() -> None:
    for operation in (
        BackfillOnline(BACKFILL),
        AddPartitions(ODD, 4),
        DropReplacedColumn("t", ODD),
    ):
        with pytest.raises(NotImplementedError, match="odd"):
            operation.reverse()
