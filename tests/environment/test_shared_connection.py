"""An engine that gives out one connection each time is refused, and its connection left alone."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool, Pool, QueuePool, SingletonThreadPool, StaticPool

from pgmodern.errors import MigrationError

Connect = Callable[[URL], psycopg.Connection]
Revise = Callable[..., Path]

MAKE = "op.execute('CREATE TABLE made ()')"
MADE = "SELECT to_regclass('made') IS NOT NULL"
SETTINGS = (
    "SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings "
    "WHERE source = 'session'"
)


@pytest.fixture
def ini(revise: Revise) -> Path:
    """A project of one revision, which makes a table."""
    return revise(MAKE)


@pytest.mark.quick
@pytest.mark.parametrize("kind", [QueuePool, NullPool, StaticPool, SingletonThreadPool])
def test_an_engine_whose_creator_returns_an_open_connection_is_refused(
    empty_database_url: URL, connect: Connect, ini: Path, kind: type[Pool]
) -> None:
    mine = connect(empty_database_url)
    mine.autocommit = False
    engine = create_engine(empty_database_url, creator=lambda: mine, poolclass=kind)
    engine.connect().detach()  # SQLAlchemy itself rolls back after an engine's first connection
    before = mine.execute(SETTINGS).fetchone()
    mine.execute("CREATE TABLE not_committed ()")
    with pytest.raises(MigrationError, match="one and the same connection"):
        command.upgrade(Config(ini, attributes={"connection": engine}), "head")
    assert mine.execute("SELECT count(*) FROM not_committed").fetchone() == (0,)
    assert mine.execute(SETTINGS).fetchone() == before
    assert mine.execute(MADE).fetchone() == (False,)


@pytest.mark.parametrize("kind", [StaticPool, SingletonThreadPool])
def test_an_engine_whose_pool_shares_its_connection_is_refused(
    empty_database_url: URL, ini: Path, kind: type[Pool]
) -> None:
    engine = create_engine(empty_database_url, poolclass=kind)
    with engine.connect() as mine:
        mine.execute(text("CREATE TABLE not_committed ()"))
        with pytest.raises(MigrationError, match="one and the same connection"):
            command.upgrade(Config(ini, attributes={"connection": engine}), "head")
        assert mine.scalar(text("SELECT count(*) FROM not_committed")) == 0
        assert mine.scalar(text(MADE)) is False
    engine.dispose()


@pytest.mark.quick
def test_a_connection_that_is_all_that_its_engine_has_is_refused(
    empty_database_url: URL, connect: Connect, ini: Path
) -> None:
    shared = connect(empty_database_url)
    shared.autocommit = False
    engine = create_engine(empty_database_url, creator=lambda: shared)
    with engine.connect() as mine:
        before = mine.scalar(text(SETTINGS))
        mine.commit()
        with pytest.raises(MigrationError, match="one and the same connection"):
            command.upgrade(Config(ini, attributes={"connection": mine}), "head")
        assert mine.scalar(text(SETTINGS)) == before
        assert mine.scalar(text(MADE)) is False


@pytest.mark.parametrize("kind", [StaticPool, SingletonThreadPool])
def test_a_connection_of_a_pool_of_one_migrates_and_stays_open(
    empty_database_url: URL, ini: Path, kind: type[Pool]
) -> None:
    engine = create_engine(empty_database_url, poolclass=kind)
    with engine.connect() as mine:
        command.upgrade(Config(ini, attributes={"connection": mine}), "head")
        assert mine.scalar(text(MADE)) is True
    engine.dispose()
