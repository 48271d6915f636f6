"""The tables whose columns change."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from tests.operations.change_column_type.songs import RICH


@pytest.fixture
def rich(database: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The table `songs` with a column that has all that is carried over."""
    role = f"pgmodern_{uuid.uuid4().hex}"
    database.execute("DROP TABLE songs")
    database.execute(RICH.format(role=role).encode())
    yield database
    database.execute(f"DROP OWNED BY {role}".encode())
    database.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def vibes(database: psycopg.Connection) -> psycopg.Connection:
    database.execute("CREATE EXTENSION vector")
    database.execute("ALTER TABLE songs ADD vibe double precision[]")
    database.execute(
        "INSERT INTO songs (title, vibe) SELECT 'a' || i, CASE WHEN i % 5 <> 0 THEN "
        "ARRAY(SELECT (i * j / 7.0)::real::double precision FROM generate_series(1, 8) AS j) END "
        "FROM generate_series(1, 1200) AS i"
    )
    return database
