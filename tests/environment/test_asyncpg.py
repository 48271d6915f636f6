"""A project whose URL names asyncpg: its revisions say to the driver what asyncpg takes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.errors import MigrationError, SettingsError
from pgmodern.testing import fixtures
from tests.environment.outcome import tables

Alembic = Callable[..., subprocess.CompletedProcess[str]]
Connect = Callable[[URL], psycopg.Connection]
Revise = Callable[..., Path]

CREATE = """
connection = op.get_bind()
connection.exec_driver_sql("CREATE TABLE songs (id int, title text CHECK (title LIKE '%a%'))")
connection.exec_driver_sql("INSERT INTO songs VALUES ($1, $2)", (7, "a%"))
op.execute("UPDATE songs SET id = id % 4 WHERE title LIKE 'a%'")
assert connection.exec_driver_sql("SELECT id % 2 FROM songs WHERE title LIKE '%a%'").scalar() == 1
with op.get_context().autocommit_block():
    connection.exec_driver_sql("CREATE INDEX CONCURRENTLY ix ON songs ((id % 2))")
"""
DROP = """op.get_bind().exec_driver_sql("DROP TABLE songs -- 100 %")"""
FOR_PSYCOPG = """op.get_bind().exec_driver_sql("CREATE TABLE songs AS SELECT 5 %% 3 AS id")"""


def test_revisions_written_for_asyncpg_run(
    empty_database_url: URL, alembic: Alembic, revise: Revise, connect: Connect
) -> None:
    ini, database = revise(CREATE, downgrades=(DROP,)), connect(empty_database_url)
    url = empty_database_url.set(drivername="postgresql+asyncpg").render_as_string(False)
    for arguments, expected in ((("upgrade", "head"), {"songs"}), (("downgrade", "base"), set())):
        ran = alembic(*arguments, url=url, ini=ini)
        assert ran.returncode == 0, ran.stderr
        assert tables(database) - {"alembic_version"} == expected


@pytest.mark.parametrize("given", [None, "psycopg", "asyncpg"])
def test_a_program_that_gives_its_engine_says_what_they_were_written_for(
    given: str | None,
    empty_database_url: URL,
    revise: Revise,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://of-the-application/db")
    engine = create_engine(empty_database_url, poolclass=NullPool)
    attributes = {"connection": engine} | ({"driver": given} if given else {})
    ini = revise(CREATE if given == "asyncpg" else FOR_PSYCOPG)
    command.upgrade(Config(ini, attributes=attributes), "head")
    assert "songs" in tables(connect(empty_database_url))


@pytest.mark.parametrize("named", ["postgresql+asyncpg://of-the-application/db", "sqlite://"])
def test_the_fixtures_migrate_for_the_application_s_driver(
    named: str,
    empty_database_url: URL,
    revise: Revise,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", named)
    fixtures.migrate(empty_database_url, revise(CREATE if "asyncpg" in named else FOR_PSYCOPG))
    assert "songs" in tables(connect(empty_database_url))


def test_a_driver_that_is_none_is_refused(empty_database_url: URL, revise: Revise) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    attributes = {"connection": engine, "driver": "pg8000"}
    with pytest.raises(SettingsError, match=r"(?s)'pg8000'.*psycopg, asyncpg"):
        command.upgrade(Config(revise("pass"), attributes=attributes), "head")


@pytest.mark.quick
def test_over_psycopg_the_error_says_both_cures(empty_database_url: URL, revise: Revise) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    ini = revise("""op.get_bind().exec_driver_sql("SELECT 5 % 3")""")
    with pytest.raises(MigrationError, match=r"(?s)placeholder.*%%.*asyncpg"):
        command.upgrade(Config(ini, attributes={"connection": engine}), "head")
