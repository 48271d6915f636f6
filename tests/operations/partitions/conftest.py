"""The table that is partitioned."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import URL

from tests.operations.partitions.plays import PLAYS, Connect


@pytest.fixture
def reader(empty_database_url: URL, connect: Connect) -> Iterator[str]:
    """The name of a role that is granted what is granted."""
    name = f"reader_of_{empty_database_url.database}"
    yield name
    admin = connect(empty_database_url)
    admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.fixture
def plays(database: psycopg.Connection, reader: str) -> psycopg.Connection:
    """A database whose table `plays` has some of all that a table can have and still be divided."""
    database.execute(PLAYS.replace("{reader}", reader).encode())
    return database
