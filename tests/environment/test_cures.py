"""What the database refuses during a migration is one message, with the cure."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy
from tests.environment.outcome import assert_one_message, tables
from tests.waiting import until_found

Completed = subprocess.CompletedProcess[str]
Alembic = Callable[..., Completed]
StartAlembic = Callable[..., subprocess.Popen[str]]
Connect = Callable[[URL], psycopg.Connection]
Blocked = Callable[[URL], int]


@pytest.mark.reference
def test_a_locked_table_is_told_and_the_revision_undone(
    empty_database_url: URL, legacy_schema: str, connect: Connect, alembic: Alembic
) -> None:
    database = connect(empty_database_url)
    database.execute(legacy_schema.encode())
    with database.transaction():
        database.execute("LOCK TABLE archives IN ROW EXCLUSIVE MODE")
        ran = alembic("-x", "lock-deadline=2", "upgrade", "head", url=empty_database_url)
    assert_one_message(ran, "lock", "pg_stat_activity")
    holder = database.info.backend_pid
    assert f"pid {holder} (" in ran.stderr.rpartition("error: ")[2]
    assert "LOCK TABLE archives" in ran.stderr
    version = database.execute("SELECT version_num FROM alembic_version").fetchone()
    assert version == ("0002",)
    assert "unreadable_archives" not in tables(database)
    ran = alembic("upgrade", "head", url=empty_database_url)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.reference
def test_a_locked_table_is_an_error_for_a_program(
    empty_database_url: URL,
    alembic_ini: Path,
    connect: Connect,
) -> None:
    database = connect(empty_database_url)
    database.execute("CREATE TABLE archives (id uuid PRIMARY KEY)")
    engine = create_engine(empty_database_url, poolclass=NullPool)
    policy = LockPolicy(timeout=0.1, deadline=0.5)
    config = Config(alembic_ini, attributes={"connection": engine, "lock_policy": policy})
    with database.transaction():
        database.execute("LOCK TABLE archives IN ROW EXCLUSIVE MODE")
        with pytest.raises(MigrationError, match="pg_stat_activity"):
            command.upgrade(config, "0003")


@pytest.mark.reference
def test_an_old_snapshot_delays_an_upgrade_and_does_not_end_it(
    empty_database_url: URL,
    alembic_ini: Path,
    connect: Connect,
    blocked: Blocked,
) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    policy = LockPolicy(timeout=0.2)
    config = Config(alembic_ini, attributes={"connection": engine, "lock_policy": policy})
    command.upgrade(config, "0004")
    reader, database = connect(empty_database_url), connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    waited = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE pid = %s AND clock_timestamp() > query_start + interval '600 ms'"
    )
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM archives")
            upgrade = pool.submit(command.upgrade, config, "0005")
            builder = blocked(empty_database_url)
            until_found(database, waited, builder, while_running=upgrade)
        upgrade.result()


@pytest.mark.reference
def test_a_statement_timeout_of_the_database_does_not_end_an_upgrade(
    empty_database_url: URL, legacy_schema: str, connect: Connect, alembic: Alembic
) -> None:
    database = connect(empty_database_url)
    database.execute(legacy_schema.encode())
    database.execute("INSERT INTO artists (name) VALUES ('Abba')")
    database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER slow AFTER UPDATE ON artists EXECUTE FUNCTION slow()")
    name = sql.Identifier(empty_database_url.database or "")
    database.execute(sql.SQL("ALTER DATABASE {} SET statement_timeout = '600ms'").format(name))
    ran = alembic("upgrade", "head", url=empty_database_url)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.reference
def test_a_killed_client_does_not_leave_its_server_process_waiting(
    empty_database_url: URL,
    legacy_schema: str,
    connect: Connect,
    alembic: Alembic,
    start_alembic: StartAlembic,
    blocked: Blocked,
) -> None:
    database, reader = connect(empty_database_url), connect(empty_database_url)
    database.execute(legacy_schema.encode())
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    gone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)"
    with reader.transaction():
        reader.execute("SELECT count(*) FROM archives")
        process = start_alembic("upgrade", "head", url=empty_database_url)
        waiter = blocked(empty_database_url)
        process.kill()
        process.communicate()
        until_found(database, gone, waiter, seconds=4)
    ran = alembic("upgrade", "head", url=empty_database_url)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.reference
@pytest.mark.parametrize(
    ("holding", "isolation"),
    [
        ("LOCK TABLE archives IN ROW EXCLUSIVE MODE", psycopg.IsolationLevel.READ_COMMITTED),
        ("SELECT * FROM archives", psycopg.IsolationLevel.REPEATABLE_READ),
        ("SELECT * FROM artists", psycopg.IsolationLevel.READ_COMMITTED),
    ],
    ids=["in a transaction", "in an index build", "in a brief lock"],
)
def test_a_lost_connection_is_one_message(
    empty_database_url: URL,
    legacy_schema: str,
    connect: Connect,
    start_alembic: StartAlembic,
    alembic: Alembic,
    blocked: Blocked,
    holding: str,
    isolation: psycopg.IsolationLevel,
) -> None:
    database = connect(empty_database_url)
    database.execute(legacy_schema.encode())
    database.isolation_level = isolation
    with database.transaction():
        database.execute(holding.encode())
        process = start_alembic("upgrade", "head", url=empty_database_url)
        waiter = blocked(empty_database_url)
        connect(empty_database_url).execute("SELECT pg_terminate_backend(%s, 5000)", [waiter])
        stdout, stderr = process.communicate(timeout=60)
    ran = subprocess.CompletedProcess("alembic", process.returncode, stdout, stderr)
    assert_one_message(ran, "connection", "again")
    assert alembic("upgrade", "head", url=empty_database_url).returncode == 0
