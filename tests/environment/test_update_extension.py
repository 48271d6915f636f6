"""An upgrade that updates an extension is not refused for its being old; any other one is."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from tests.environment.outcome import assert_one_message

Alembic = Callable[..., subprocess.CompletedProcess[str]]
Connect = Callable[[URL], psycopg.Connection]

ENV = """
from sqlalchemy import Column, Integer, MetaData, Table, Text
from pgmodern import TrigramIndex, environment

songs = Table("songs", MetaData(), Column("id", Integer, primary_key=True), Column("title", Text))
TrigramIndex("ix_songs_title", songs.c.title)
environment.run(songs.metadata)
"""
CREATE = "op.execute('CREATE TABLE songs (id int PRIMARY KEY, title text)')"
UPDATE = "op.update_extension('pg_trgm', '1.6', 'fast scans')"


@pytest.fixture
def database(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """A database with an old extension."""
    database = connect(empty_database_url)
    database.execute("CREATE EXTENSION pg_trgm VERSION '1.3'")
    return database


def state(database: psycopg.Connection) -> tuple[str, bool]:
    """Return the version of the extension, and whether the table is there."""
    row = database.execute(
        "SELECT extversion, to_regclass('songs') IS NOT NULL FROM pg_extension "
        "WHERE extname = 'pg_trgm'"
    ).fetchone()
    assert row is not None
    return str(row[0]), bool(row[1])


@pytest.mark.parametrize("bodies", [(CREATE, UPDATE), (UPDATE, CREATE)])
def test_an_upgrade_that_updates_it_runs(
    revise: Callable[..., Path],
    alembic: Alembic,
    empty_database_url: URL,
    database: psycopg.Connection,
    bodies: tuple[str, ...],
) -> None:
    ini = revise(*bodies)
    (ini.parent / "migrations" / "env.py").write_text(ENV)
    ran = alembic("upgrade", "head", url=empty_database_url, ini=ini)
    assert ran.returncode == 0, ran.stderr
    assert state(database) == ("1.6", True)


def test_one_that_does_not_is_refused_before_anything_is_done(
    revise: Callable[..., Path],
    alembic: Alembic,
    empty_database_url: URL,
    database: psycopg.Connection,
) -> None:
    ini = revise(CREATE)
    (ini.parent / "migrations" / "env.py").write_text(ENV)
    ran = alembic("upgrade", "head", url=empty_database_url, ini=ini)
    assert_one_message(ran, r"'pg_trgm' is 1\.3; 1\.6 or later", "ALTER EXTENSION")
    assert state(database) == ("1.3", False)


def test_only_what_is_pending_counts(
    revise: Callable[..., Path],
    alembic: Alembic,
    empty_database_url: URL,
    database: psycopg.Connection,
) -> None:
    ini = revise(UPDATE, CREATE)
    (ini.parent / "migrations" / "env.py").write_text(ENV)
    assert alembic("stamp", "r1", url=empty_database_url, ini=ini).returncode == 0
    ran = alembic("upgrade", "head", url=empty_database_url, ini=ini)
    assert_one_message(ran, r"'pg_trgm' is 1\.3; 1\.6 or later", "ALTER EXTENSION")
    assert state(database) == ("1.3", False)
