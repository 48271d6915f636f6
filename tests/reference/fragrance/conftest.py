"""Fragrances and users enough for what needs no index."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import URL, create_engine, insert
from sqlalchemy.pool import NullPool

from pgmodern.reference.fragrance import Fragrance, User
from pgmodern.testing.databases import database


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with 50 fragrances and 5 users; every test rolls back what it did."""
    with database(postgres_url, template_database) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            names = [
                {"id": uuid.UUID(int=n), "name": f"Fragrance {n}", "brand": "Maison"}
                for n in range(50)
            ]
            connection.execute(insert(Fragrance), names)
            users = [{"id": uuid.UUID(int=n), "email": f"{n}@example.org"} for n in range(5)]
            connection.execute(insert(User), users)
        yield url
