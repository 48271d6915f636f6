"""`op.change_column_type_online` and `op.drop_replaced_column`."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

TABLE = """
    CREATE EXTENSION vector;
    CREATE EXTENSION citext;
    CREATE ROLE_ROLE;
"""


def change(column: str, type_: str, using: str | None = None, back: str | None = None) -> Step:
    """Return the step that changes a column of `songs`."""
    return lambda op: op.change_column_type_online(
        "songs", column, type_, using=using, reverse_using=back
    )


def columns(database: psycopg.Connection) -> dict[str, str]:
    """Return the columns of `songs` with their types."""
    rows = database.execute(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'songs'::regclass AND attnum > 0 AND NOT attisdropped"
    ).fetchall()
    return dict(rows)


VIBE = change(
    "vibe", "vector(8)", "vibe::vector(8)", "vibe::real[]::double precision[]"
)


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


def test_arrays_become_vectors(vibes: psycopg.Connection, apply: Apply) -> None:
    apply(VIBE)
    print(columns(vibes))
    apply(VIBE)
    print(columns(vibes))
