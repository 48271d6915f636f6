"""Declared indexes: present, valid, and as they were declared."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Index, MetaData, text

from pgmodern.doctor.finding import Finding
from pgmodern.indexes.catalogue import differences
from pgmodern.quoting import quoted

_ABSENT_TABLE = text("SELECT to_regclass(:name) IS NULL")


def check(connection: Connection, metadata: Sequence[MetaData]) -> Iterator[Finding]:
    """Check every index of every table of the metadata, by its definition in the catalogue."""
    tables = (table for each in metadata for table in each.sorted_tables)
    for table in tables:
        if connection.scalar(_ABSENT_TABLE, {"name": quoted(table.name, table.schema)}):
            for index in _sorted(table.indexes):
                yield _finding(index, [f"there is no table {table.fullname}"])
        else:
            for index in _sorted(table.indexes):
                yield _finding(index, differences(connection, index))


def _sorted(indexes: set[Index]) -> list[Index]:
    return sorted(indexes, key=lambda index: str(index.name))


def _finding(index: Index, wrong: list[str]) -> Finding:
    name = str(index.name)
    if not wrong:
        return Finding("index", name, True, "valid")
    return Finding("index", name, False, "; ".join(wrong), "Run: alembic upgrade head")
