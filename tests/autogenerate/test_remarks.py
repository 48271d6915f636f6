"""What a human eye should see is said, with the size of the table."""

import pytest
from alembic.operations import MigrateOperation
from alembic.operations.ops import CreateIndexOp, DropTableOp

from pgmodern.autogenerate.catalogue import Catalogue, Size
from pgmodern.autogenerate.remarks import remarks
from pgmodern.operations.index import CreateIndexOnline

MILLION = Size(1_000_000, 8 * 1024**3)


def said(operation: MigrateOperation, size: Size) -> str:
    """Return what is said of an operation on a table of that size."""
    found = Catalogue(sizes={(None, "songs"): size})
    return " ".join(remarks(operation, (None, "songs"), found))


def build(method: str | None) -> CreateIndexOnline:
    """Return the operation that builds an index."""
    return CreateIndexOnline(CreateIndexOp("ix", "songs", ["a"], postgresql_using=method))


def test_a_table_that_is_dropped_says_how_much_is_lost() -> None:
    assert said(DropTableOp("songs"), MILLION) == (
        "DATA LOSS: drops the table with all that it holds, about 1,000,000 rows (8 GB)."
    )


@pytest.mark.quick
@pytest.mark.parametrize(
    ("method", "rows", "is_long"),
    [
        ("hnsw", 1_000_000, True),
        ("hnsw", 1_000, False),
        ("gin", 1_000_000, False),
        ("gin", 3_000_000, True),
        (None, 3_000_000, False),
        (None, 30_000_000, True),
    ],
)
def test_a_build_says_when_it_will_be_long(method: str | None, rows: int, *, is_long: bool) -> None:
    assert ("LONG BUILD" in said(build(method), Size(rows, 1))) is is_long
