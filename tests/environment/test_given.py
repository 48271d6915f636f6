"""The engine or connection that a program gives to Alembic."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import pgmodern
from pgmodern.errors import MigrationError
from tests.environment.outcome import tables

Completed = subprocess.CompletedProcess[str]
Alembic = Callable[..., Completed]
Connect = Callable[[URL], psycopg.Connection]


HISTORY = list(ScriptDirectory(str(Path(__file__).parents[2] / "alembic")).walk_revisions())
HEAD, BEFORE = HISTORY[0].revision, str(HISTORY[0].down_revision)


def head_of(engine: Engine) -> str:
    """Return the revision that a database is at."""
    with engine.connect() as connection:
        return str(
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        )


@pytest.mark.reference
def test_a_given_engine_gets_no_setting_of_ours_back(
    empty_database_url: URL, alembic_ini: Path
) -> None:
    engine = create_engine(empty_database_url, pool_size=1, max_overflow=0)
    command.upgrade(Config(alembic_ini, attributes={"connection": engine}), "head")
    assert head_of(engine) == HEAD
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "0"
    engine.dispose()


@pytest.mark.reference
def test_a_given_connection_is_used_and_keeps_its_settings(
    empty_database_url: URL, alembic_ini: Path
) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = '7s'")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE mine ()")
        connection.commit()
        command.upgrade(Config(alembic_ini, attributes={"connection": connection}), "head")
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "7s"
        assert connection.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0
    assert head_of(engine) == HEAD


@pytest.mark.quick
def test_a_connection_in_a_transaction_is_refused_with_the_cure(
    empty_database_url: URL, alembic_ini: Path, connect: Connect
) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("CREATE TABLE mine ()")
        config = Config(alembic_ini, attributes={"connection": connection})
        with pytest.raises(MigrationError, match="in a transaction"):
            command.upgrade(config, "head")
        transaction.rollback()
    assert tables(connect(empty_database_url)) == set()


@pytest.mark.quick
def test_a_connection_in_autocommit_is_refused_with_the_cure(
    empty_database_url: URL, alembic_ini: Path, connect: Connect
) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        config = Config(alembic_ini, attributes={"connection": connection})
        with pytest.raises(MigrationError, match="AUTOCOMMIT"):
            command.upgrade(config, "head")
    with pytest.raises(MigrationError, match="AUTOCOMMIT"):
        command.upgrade(Config(alembic_ini, attributes={"connection": engine}), "head")
    assert tables(connect(empty_database_url)) == set()


@pytest.mark.quick
def test_what_is_neither_an_engine_nor_a_connection_is_refused(
    empty_database_url: URL, alembic_ini: Path, connect: Connect
) -> None:
    asynchronous = create_async_engine(empty_database_url)
    asyncpg = create_async_engine(empty_database_url.set(drivername="postgresql+asyncpg"))
    for given in (
        asynchronous,
        asynchronous.sync_engine,
        asyncpg.sync_engine,
        str(empty_database_url),
    ):
        config = Config(alembic_ini, attributes={"connection": given})
        with pytest.raises(MigrationError, match=r"synchronous|given to Alembic"):
            command.upgrade(config, "head")
    assert tables(connect(empty_database_url)) == set()


@pytest.mark.parametrize("name", ["psycopg", "asyncpg"])
async def test_a_connection_of_asynchronous_code_is_refused_with_the_cure(
    name: str, empty_database_url: URL, alembic_ini: Path, connect: Connect
) -> None:
    def upgrade(connection: Connection) -> None:
        config = Config(alembic_ini, attributes={"connection": connection})
        with pytest.raises(MigrationError, match=rf"(?s){name}.*synchronous engine"):
            command.upgrade(config, "head")

    engine = create_async_engine(empty_database_url.set(drivername=f"postgresql+{name}"))
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()
    assert tables(connect(empty_database_url)) == set()


@pytest.mark.reference
def test_a_given_connection_is_left_as_it_was(empty_database_url: URL, alembic_ini: Path) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.connect() as connection:
        config = Config(alembic_ini, attributes={"connection": connection})
        for change in (command.upgrade, command.upgrade, command.downgrade):
            change(config, "head" if change is command.upgrade else BEFORE)
            assert not connection.in_transaction()
            command.current(config)
            assert not connection.in_transaction()


@pytest.mark.reference
def test_an_engine_of_binary_results_will_do(
    empty_database_url: URL, alembic_ini: Path, connect: Connect, legacy_schema: str
) -> None:
    connect(empty_database_url).execute(legacy_schema.encode())
    engine = pgmodern.create_engine(empty_database_url)
    config = Config(alembic_ini, attributes={"connection": engine})
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    engine.dispose()


@pytest.mark.reference
def test_no_timeout_of_the_database_ends_a_migration(
    empty_database_url: URL, connect: Connect, alembic: Alembic
) -> None:
    database = connect(empty_database_url)
    name = sql.Identifier(empty_database_url.database or "")
    settings = ["idle_session_timeout", "idle_in_transaction_session_timeout"]
    settings += ["transaction_timeout"] if database.info.server_version >= 170_000 else []
    for setting in settings:
        alter = sql.SQL("ALTER DATABASE {} SET {} = '200ms'")
        database.execute(alter.format(name, sql.Identifier(setting)))
    ran = alembic("upgrade", "head", url=empty_database_url)
    assert ran.returncode == 0, ran.stderr
