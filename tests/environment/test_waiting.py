"""Waiting for locks: bounded, undone in between, and told."""

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
Connect = Callable[[URL], psycopg.Connection]
Blocked = Callable[[URL], int]
Revise = Callable[..., Path]

CREATE = """
op.execute("CREATE TABLE first (id int)")
op.execute("CREATE TABLE second (id int)")
"""
ALTER = """
op.execute("ALTER TABLE first ADD COLUMN title text")
op.execute("ALTER TABLE second ADD COLUMN title text")
"""
QUICK = LockPolicy(timeout=0.2, deadline=30, first_pause=0.3, longest_pause=0.3)
MARGIN = 0.3


@pytest.fixture
def upgrade(empty_database_url: URL, revise: Revise) -> Callable[..., None]:
    """Upgrade a database that has two tables, as a program does."""

    def run(ini: Path, revision: str = "head", policy: LockPolicy = QUICK) -> None:
        engine = create_engine(empty_database_url, poolclass=NullPool)
        config = Config(ini, attributes={"connection": engine, "lock_policy": policy})
        command.upgrade(config, revision)

    return run


def test_a_revision_that_cannot_have_a_lock_lets_go_of_all_it_had_and_is_tried_again(
    empty_database_url: URL, connect: Connect, upgrade: Callable[..., None], revise: Revise
) -> None:
    ini = revise(CREATE, ALTER)
    upgrade(ini, "r1")
    holder, writer, stalls = connect(empty_database_url), connect(empty_database_url), []
    with ThreadPoolExecutor() as pool:
        with holder.transaction():
            holder.execute("SELECT * FROM second")
            upgrading = pool.submit(upgrade, ini)
            until = time.monotonic() + 2
            while time.monotonic() < until:
                for table in ("first", "second"):  # altered already when it waits for the second
                    started = time.monotonic()
                    writer.execute(f"INSERT INTO {table} VALUES (1)".encode())
                    stalls.append(time.monotonic() - started)
            assert not upgrading.done()
        upgrading.result(timeout=10)
    assert max(stalls) < QUICK.timeout + MARGIN
    assert max(stalls) > 0.01, "no writer ever queued behind the revision"
    holder.execute("SELECT first.title, second.title FROM first, second LIMIT 1")


def test_a_deadlock_is_tried_again(
    empty_database_url: URL,
    connect: Connect,
    upgrade: Callable[..., None],
    revise: Revise,
    blocked: Blocked,
) -> None:
    ini = revise(CREATE, f"op.execute(\"SET deadlock_timeout = '50ms'\")\n{ALTER}")
    upgrade(ini, "r1")
    application = connect(empty_database_url)
    application.execute("SET deadlock_timeout = '60s'")
    with ThreadPoolExecutor() as pool:
        with application.transaction():
            application.execute("LOCK TABLE second IN ACCESS SHARE MODE")
            upgrading = pool.submit(upgrade, ini, policy=LockPolicy(timeout=30, first_pause=0.1))
            blocked(empty_database_url)
            application.execute("SELECT * FROM first")
        upgrading.result(timeout=20)
    application.execute("SELECT first.title, second.title FROM first, second")


def test_who_is_in_the_way_is_named_while_waiting(
    empty_database_url: URL,
    connect: Connect,
    start_alembic: Start,
    alembic: Run,
    revise: Revise,
    blocked: Blocked,
) -> None:
    ini = revise(CREATE, ALTER)
    assert alembic("upgrade", "r1", url=empty_database_url, ini=ini).returncode == 0
    holder = connect(empty_database_url)
    holder.execute("SET application_name = 'nightly report'")
    with holder.transaction():
        holder.execute("SELECT * FROM second")
        process = start_alembic("upgrade", "head", url=empty_database_url, ini=ini)
        blocked(empty_database_url)
        time.sleep(2)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    named = f"pid {holder.info.backend_pid} (nightly report, user "
    assert f"[pgmodern] upgrade r1 -> r2 waits for {named}" in stderr
    assert "in a transaction for 00:00:" in stderr
    assert "SELECT * FROM second; again in" in stderr
    assert " s in all for " + named in stderr


def test_a_concurrent_build_has_a_budget_of_its_own_and_says_for_whom_it_waited(
    empty_database_url: URL,
    connect: Connect,
    alembic: Run,
    upgrade: Callable[..., None],
    revise: Revise,
) -> None:
    ini = revise(CREATE, 'op.create_index_online("ix", "first", ["id"])')
    upgrade(ini, "r1")
    reader = connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with reader.transaction():
        reader.execute("SELECT count(*) FROM first")
        with pytest.raises(MigrationError, match=f"waited 1 s for pid {reader.info.backend_pid} "):
            upgrade(ini, policy=LockPolicy(timeout=0.2, build=1))
    upgrade(ini)
    valid = reader.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass")
    assert valid.fetchone() == (True,)
