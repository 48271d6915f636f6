"""Autogenerate leaves the partitions of a table alone, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
)
from sqlalchemy.pool import NullPool

from pgmodern import autogenerate
from pgmodern.operations.partitions import Table as Partitioned


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection to an empty database, in autocommit mode."""
    autogenerate.register()
    engine = create_engine(empty_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def plays(schema: str | None) -> MetaData:
    """Return the metadata of a table that can be partitioned."""
    metadata = MetaData()
    Table("listeners", metadata, Column("id", Integer, primary_key=True), schema=schema)
    Table(
        "plays",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=True),
        Column("at", DateTime(timezone=True), primary_key=True),
        Column("title", Text, nullable=False, server_default="none", comment="What"),
        Column("listener", ForeignKey(f"{schema}.listeners.id" if schema else "listeners.id")),
        Index("plays_title", "title"),
        schema=schema,
    )
    return metadata


def changes(connection: Connection, metadata: MetaData) -> list[Any]:
    """Return what autogenerate would do."""
    context = MigrationContext.configure(
        connection, opts={"include_schemas": True, "compare_server_default": True}
    )
    return [entry[0] for entry in compare_metadata(context, metadata)]


@pytest.mark.parametrize("schema", [None, "other"])
def test_a_partitioned_table_is_as_its_model(connection: Connection, schema: str | None) -> None:
    if schema:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    metadata = plays(schema)
    metadata.create_all(connection)
    assert changes(connection, metadata) == []
    table = Partitioned("plays", schema, "at", "1 month", 2)
    for block in (table.refuse, table.announce, table.validate, table.swap):
        connection.exec_driver_sql(block(1).replace("%", "%%"))
    more = Partitioned("plays", schema, ahead=4).extend(1)
    connection.exec_driver_sql(more.replace("%", "%%"))
    whole = f"{schema or 'public'}.plays"
    connection.exec_driver_sql(f"CREATE TABLE others PARTITION OF {whole} DEFAULT")
    assert changes(connection, metadata) == []
    connection.exec_driver_sql(f"ALTER TABLE {whole} DETACH PARTITION others")
    assert set(changes(connection, metadata)) == {"remove_index", "remove_table"}
    connection.exec_driver_sql("DROP TABLE others; CREATE TABLE unknown (id int)")
    assert changes(connection, metadata) == ["remove_table"]
