"""What is written into a revision is the operation that was rendered; each has its way back."""

from collections.abc import Callable
from typing import Any

import pytest
from alembic.operations import MigrateOperation
from alembic.operations.ops import CreateIndexOp

from pgmodern import Throttle
from pgmodern.backfill import Backfill
from pgmodern.indexes.search_vector import Weight
from pgmodern.operations.adopt_table import AdoptTable, ReleaseTable
from pgmodern.operations.backfill import BackfillOnline
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline, DropReplacedColumn
from pgmodern.operations.change_notification import (
    CreateChangeNotification,
    DropChangeNotification,
)
from pgmodern.operations.check_constraint import (
    AddCheckConstraintOnline,
    ReplaceCheckConstraintOnline,
)
from pgmodern.operations.column_expression import DropColumnExpression, SetColumnExpression
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.extension import CreateExtension, DropExtension, UpdateExtension
from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline, ReplaceIndexOnline
from pgmodern.operations.not_null import SetNotNullOnline
from pgmodern.operations.partition_table import (
    AddPartitions,
    PartitionTableOnline,
    UnpartitionTableOnline,
)
from pgmodern.operations.partitions import Table
from pgmodern.operations.search_vector import (
    AddSearchVector,
    AddSearchVectorOnline,
    DropSearchVector,
    DropSearchVectorOnline,
    ReplaceSearchVectorOnline,
)
from pgmodern.operations.text_search_configuration import (
    CreateTextSearchConfiguration,
    DropTextSearchConfiguration,
)
from pgmodern.operations.unique_constraint import AddUniqueConstraintOnline

Render = Callable[[MigrateOperation], str]

ODD = 'it\'s "odd": %s {x}'
INDEX = CreateIndexOp(ODD, "songs", ["title"], schema="music", postgresql_concurrently=True)
OTHER = CreateIndexOp(ODD, "songs", ["id"], schema="music", postgresql_concurrently=True)
CHECK = AddCheckConstraintOnline(ODD, "songs", "title <> '%s'", "music", not_valid=True)
SOURCES: dict[str, Weight] = {"a": "A", ODD: "D"}
REPLACED_VECTOR = ReplaceSearchVectorOnline(ODD, "words", SOURCES, "x.y", "id", "uuid", "music")
REPLACED_VECTOR.replaced = AddSearchVectorOnline(ODD, "words", {"a": "B"}, "x.z", "id", "uuid", "m")
KEPT_VECTOR = AddSearchVectorOnline(ODD, "words", SOURCES, "x.y", "id", "uuid", "music")
KEPT_VECTOR.kept_column = True
REVERSIBLE: list[Any] = [
    AdoptTable(ODD, ("CREATE TABLE x ()", "CREATE INDEX ON x (a)")),
    CreateExtension(ODD, "1.6", "because"),
    CreateIndexOnline(INDEX),
    ReplaceIndexOnline(INDEX, OTHER),
    AddSearchVectorOnline(ODD, "words", {"a": "A", "b": "D"}, "x.y", "id", "uuid", "music", "ix"),
    CreateTextSearchConfiguration(ODD, "pg_catalog.french", "pg_catalog.french_stem"),
    UpdateExtension(ODD, "1.6", "because"),
    REPLACED_VECTOR,
    AddSearchVector(ODD, "words", SOURCES, "x.y", "id", "", "music"),
    AddCheckConstraintOnline(ODD, "songs", "title <> '%s'", "music"),
    CHECK,
    ReplaceCheckConstraintOnline(CHECK, AddCheckConstraintOnline(ODD, "songs", "true", "music")),
    AddUniqueConstraintOnline(ODD, "songs", ["title", ODD]),
    AddUniqueConstraintOnline(
        ODD,
        "songs",
        ["title"],
        "music",
        nulls_not_distinct=True,
        include=[ODD],
        deferrable=True,
        initially="DEFERRED",
    ),
    SetColumnExpression("songs", ODD, "title || '%s'", "music", "upper(title)"),
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
    ReplaceCheckConstraintOnline(CHECK),
    SetColumnExpression("songs", ODD, "upper(title)"),
    DropColumnExpression("songs", ODD),
    DropTextSearchConfiguration(ODD),
    DropConstraintOnline(ODD, "songs"),
    UnpartitionTableOnline(ODD),
    DropChangeNotification(ODD),
]
COMMENTED: list[Any] = [
    ReplaceSearchVectorOnline(ODD, "words", SOURCES, "x.y", "id", "uuid"),
    DropSearchVectorOnline(ODD, "words"),
    DropSearchVector(ODD, "words"),
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
    DropColumnExpression("songs", ODD, "music"),
    DropSearchVectorOnline(ODD, "words", "music", keep_column=True),
    KEPT_VECTOR.reverse(),
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
    if isinstance(check := found.get("wanted"), AddCheckConstraintOnline):
        found["wanted"] = vars(check)
    if isinstance(index := found.get("index"), CreateIndexOp):
        found["index"] = {k: v for k, v in vars(index).items() if k != "_orig_index"}
    return found


@pytest.mark.quick
@pytest.mark.parametrize("operation", ALL, ids=lambda each: type(each).__name__)
def test_what_is_written_is_the_operation(operation: Any, render: Render) -> None:
    recorder = Recorder(type(operation))
    exec(render(operation), {"op": recorder, "Throttle": Throttle})
    (found,) = recorder.invoked
    assert content(found) == content(operation)


@pytest.mark.quick
@pytest.mark.parametrize("operation", REVERSIBLE, ids=lambda each: type(each).__name__)
def test_the_way_back_and_forth_again_is_the_operation(operation: Any) -> None:
    there_and_back = operation.reverse().reverse()
    assert type(there_and_back) is type(operation)
    if not isinstance(operation, CreateExtension):  # its minimum version is not remembered
        assert content(there_and_back) == content(operation)


@pytest.mark.quick
@pytest.mark.parametrize("operation", UNKNOWN, ids=lambda each: type(each).__name__)
def test_what_is_not_known_cannot_be_reversed(operation: Any) -> None:
    with pytest.raises(ValueError, match="odd"):
        operation.reverse()


@pytest.mark.quick
@pytest.mark.parametrize("operation", COMMENTED, ids=lambda each: type(each).__name__)
def test_a_search_vector_that_is_not_known_is_a_comment_on_the_way_back(
    operation: Any, render: Render
) -> None:
    back = operation.reverse()
    assert isinstance(back, ByHand)
    assert render(back).startswith(f"# {ODD}.words: not brought back")


@pytest.mark.quick
def test_some_cannot_be_reversed() -> None:
    for operation in (
        BackfillOnline(BACKFILL),
        AddPartitions(ODD, 4),
        DropReplacedColumn("t", ODD),
    ):
        with pytest.raises(NotImplementedError, match="odd"):
            operation.reverse()
