"""Connections of our engine, which sends in binary, and of SQLAlchemy's, which sends text."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.pool import NullPool

from pgmodern.engine import create_engine
from pgmodern.extensions import create_sql
from pgmodern.testing.databases import database


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, request: pytest.FixtureRequest) -> Iterator[URL]:
    """One database with the tables of the file's Base; every test rolls back."""
    with database(postgres_url) as url:
        with sa_create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text(create_sql("vector")))
            request.module.Base.metadata.create_all(connection)
        yield url


@pytest.fixture(params=[create_engine, sa_create_engine], ids=["binary", "text"])
def connection(request: pytest.FixtureRequest, database_url: URL) -> Iterator[Connection]:
    """A connection that sends in binary, and one as SQLAlchemy makes it."""
    create: Callable[..., Engine] = request.param
    with create(database_url, poolclass=NullPool).connect() as connection:
        yield connection


def plain(value: Any) -> Any:
    """Return a result in Python's own types."""
    return value.tolist() if hasattr(value, "tolist") else value
