"""One chat database of a realistic size for each file; every test rolls back what it did."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern.locks import driver
from pgmodern.testing.databases import database
from tests.reference.chat.data import rows


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database of 48,000 messages."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            for table, values in rows().items():
                _copy(driver(connection), table, values)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield url


def _copy(session: psycopg.Connection[Any], table: str, values: Iterable[tuple[Any, ...]]) -> None:
    with session.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for row in values:
            copy.write_row(row)
