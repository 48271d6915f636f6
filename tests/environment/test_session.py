"""The migration's own session: its settings, and what it says when it is lost."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from pgmodern.errors import DatabaseUnavailable
from pgmodern.locks import LockPolicy, driver
from pgmodern.session import settings
from tests.kills import Selection, operation_begins, run_doomed

Connect = Callable[[URL], psycopg.Connection]
Revise = Callable[..., Path]
Alembic = Callable[..., subprocess.CompletedProcess[str]]

POLICY = LockPolicy(timeout=0.7)
SEEN = """
    CREATE TABLE {0} AS SELECT name, current_setting(name) AS value FROM pg_settings
"""
TRANSACTIONAL = f'op.execute("""{SEEN.format("transactional")}""")'
BY_HAND = f'''
with op.get_context().autocommit_block():
    op.execute("""{SEEN.format("by_hand")}""")
'''
LEAVES = "op.execute(\"SET lock_timeout = '9s'\")"
BREAKS = 'op.execute("SELECT nothing")'
LOST = 7  # the exit code of a client that was told so


@pytest.fixture
def given(empty_database_url: URL) -> Iterator[Connection]:
    """A program's connection, with a setting of its own."""
    with create_engine(empty_database_url, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = '7s'")
        connection.commit()
        yield connection


def config(ini: Path, connection: Connection) -> Config:
    """Return what gives a connection to Alembic."""
    return Config(ini, attributes={"connection": connection, "lock_policy": POLICY})


@pytest.mark.quick
def test_a_given_connection_has_our_settings_for_every_statement(
    empty_database_url: URL, connect: Connect, given: Connection, revise: Revise
) -> None:
    command.upgrade(config(revise(TRANSACTIONAL, BY_HAND), given), "head")
    database = connect(empty_database_url)
    ours = settings(POLICY, database.info.server_version)
    for table in ("transactional", "by_hand"):
        rows = database.execute(f"SELECT name, value FROM {table}".encode())
        assert {str(name): value for name, value in rows}.items() >= ours.items(), table


@pytest.mark.parametrize("broken", [False, True])
def test_a_given_connection_has_its_own_settings_back(
    given: Connection, revise: Revise, broken: bool
) -> None:
    ini = revise(LEAVES, BREAKS if broken else "pass")
    with pytest.raises(ProgrammingError) if broken else nullcontext():
        command.upgrade(config(ini, given), "head")
    assert given.exec_driver_sql("SHOW lock_timeout").scalar() == "7s"


def test_who_only_reads_sets_nothing(empty_database_url: URL, revise: Revise) -> None:
    engine, seen = create_engine(empty_database_url, poolclass=NullPool), set[object]()

    @event.listens_for(engine, "before_cursor_execute")
    def look(connection: Connection, *_: object) -> None:
        seen.add(driver(connection).execute("SHOW lock_timeout").fetchone())

    command.current(Config(revise("pass"), attributes={"connection": engine}))
    assert seen == {("0",)}


WORK = """
op.backfill_online("b", table="songs", statement="UPDATE songs SET plays = 1 WHERE {range}")
op.create_index_online("ix", "songs", ["plays"])
"""


@pytest.mark.parametrize("gives_connection", [False, True])
def test_a_session_that_is_lost_anywhere_is_said_to_be(
    empty_database_url: URL,
    postgres_url: URL,
    connect: Connect,
    clone: Callable[[URL], URL],
    revise: Revise,
    gives_connection: bool,
    selection: Selection,
) -> None:
    ini = revise('op.execute("CREATE TABLE songs (id bigint PRIMARY KEY, plays int)")', WORK)
    admin, copy = connect(postgres_url), clone(empty_database_url)

    def upgrade(url: URL) -> None:
        engine = create_engine(url, poolclass=NullPool)
        given = engine.connect() if gives_connection else engine
        operation_begins()  # an engine that is given has yet to connect
        try:
            command.upgrade(Config(ini, attributes={"connection": given}), "head")
        except DatabaseUnavailable:
            sys.exit(LOST)

    stride = selection.stride("terminate")
    for fatal in itertools.count(selection.chance("a session").randrange(stride), stride):
        outcome = run_doomed(admin, copy, upgrade, fatal, "terminate")
        if not outcome.struck:
            break
        assert outcome.exit_code == LOST, f"terminated before statement {fatal}"
    assert fatal > 40


ENDED = """
import os, psycopg
pid = op.get_bind().connection.driver_connection.info.backend_pid
with psycopg.connect(os.environ["DATABASE_URL"]) as administrator:
    administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
"""


def test_a_session_that_is_ended_between_statements_is_one_message(
    empty_database_url: URL, alembic: Alembic, revise: Revise
) -> None:
    for body in (
        ENDED,
        f"with op.get_context().autocommit_block():{ENDED}".replace("\n", "\n    "),
    ):
        ran = alembic("upgrade", "head", url=empty_database_url, ini=revise(body))
        assert ran.returncode == 1
        assert "Traceback" not in ran.stderr
        assert ran.stderr.count("error: ") == 1
        assert "error: The connection was lost: " in ran.stderr
        assert "Run again" in ran.stderr
