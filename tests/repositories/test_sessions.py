"""Repositories over every kind of session that frameworks hand out, each by the real package."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from advanced_alchemy.config import SQLAlchemyAsyncConfig, SQLAlchemySyncConfig
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, select
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool
from sqlmodel import Session as SQLModelSession
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelAsyncSession

from pgmodern.engine import create_async_engine, create_engine
from tests.repositories.products import (
    AsyncNeighbours,
    AsyncProducts,
    Base,
    Neighbours,
    Product,
    Products,
    row,
    shop,
)

pytestmark = [pytest.mark.vector, pytest.mark.contrib]


@pytest.fixture(scope="module")
def database_url(postgres_url: URL) -> Iterator[URL]:
    """A database with four products; every test rolls back."""
    with shop(postgres_url) as url:
        yield url


@contextmanager
def _scoped(url: URL) -> Iterator[Any]:
    session = scoped_session(sessionmaker(create_engine(url, poolclass=NullPool)))
    yield session
    session.remove()


@contextmanager
def _of_flask(url: URL) -> Iterator[Any]:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": NullPool}
    db = SQLAlchemy()
    db.init_app(app)
    with app.app_context():
        yield db.session
        db.session.rollback()


@contextmanager
def _of_sqlmodel(url: URL) -> Iterator[Any]:
    with SQLModelSession(create_engine(url, poolclass=NullPool)) as session:
        yield session


@contextmanager
def _of_advanced_alchemy(url: URL) -> Iterator[Any]:
    config = SQLAlchemySyncConfig(engine_instance=create_engine(url, poolclass=NullPool))
    with config.get_session() as session:
        yield session


@contextmanager
def _in_autocommit(url: URL) -> Iterator[Any]:
    engine = create_engine(url, poolclass=NullPool).execution_options(isolation_level="AUTOCOMMIT")
    with Session(engine) as session:
        yield session


@contextmanager
def _bound_by_class(url: URL) -> Iterator[Any]:
    engine = create_engine(url, poolclass=NullPool)
    with Session(binds={Base: engine}) as session:
        yield session


SESSIONS: dict[str, Callable[[URL], AbstractContextManager[Any]]] = {
    "scoped_session": _scoped,
    "Flask-SQLAlchemy": _of_flask,
    "SQLModel": _of_sqlmodel,
    "advanced-alchemy": _of_advanced_alchemy,
    "autocommit": _in_autocommit,
    "binds": _bound_by_class,
}


NO_WRITES = {"autocommit", "binds"}  # a temporary table needs one connection, and names no class


@pytest.mark.parametrize("kind", SESSIONS)
def test_every_kind_of_session_reads(kind: str, database_url: URL) -> None:
    with SESSIONS[kind](database_url) as session:
        assert len(Products(session).fuzzy("product number 2")) == 4
        assert len(Products(session).full_text("product")) == 4
        assert [hit.id for hit in Neighbours(session).nearest(row(3)[7], 1)] == [3]


@pytest.mark.parametrize("kind", [kind for kind in SESSIONS if kind not in NO_WRITES])
def test_every_kind_of_session_writes(kind: str, database_url: URL) -> None:
    with SESSIONS[kind](database_url) as session:
        session.add(Product(id=99, name="pending"))
        assert Neighbours(session).store([row(5), row(6)]) == 2
        assert session.scalars(select(Product.id)).all() == [*range(1, 5), 99, 5, 6]
        session.rollback()


async def _reads_and_writes(session: Any) -> None:
    assert len(await AsyncProducts(session).fuzzy("product number 2")) == 4
    assert [hit.id for hit in await AsyncNeighbours(session).nearest(row(3)[7], 1)] == [3]
    session.add(Product(id=99, name="pending"))
    assert await AsyncNeighbours(session).store([row(5), row(6)]) == 2
    assert len(await AsyncProducts(session).suggest("p")) == 7
    await session.rollback()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_asynchronous_sessions_of_every_kind(driver: str, database_url: URL) -> None:
    url = database_url.set(drivername=f"postgresql+{driver}")
    engine = create_async_engine(url, poolclass=NullPool)
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: None)
    await _reads_and_writes(scoped)
    await scoped.remove()
    async with SQLModelAsyncSession(engine) as session:
        await _reads_and_writes(session)
    async with SQLAlchemyAsyncConfig(engine_instance=engine).get_session() as session:
        await _reads_and_writes(session)
    await engine.dispose()


async def test_a_session_inside_run_sync(database_url: URL) -> None:
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with AsyncSession(engine) as session:
        hits = await session.run_sync(lambda session: Products(session).fuzzy("product number 2"))
        stored = await session.run_sync(lambda s: Neighbours(s).nearest(row(2)[7], 1))
    assert (len(hits), stored[0].id) == (4, 2)
