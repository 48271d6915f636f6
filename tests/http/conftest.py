"""A library that is asked over HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from pgmodern.engine import create_async_engine
from pgmodern.reference.music import Artist, Track
from tests.http.requests import Stop, client_of

ALBUMS = {
    "The Beatles": ("Revolver", ["Yellow Submarine", "Eleanor Rigby", "Here, There & Everywhere"]),
    "Beyoncé": (None, ["Halo", "Déjà Vu"]),
    "Сплин": (None, ["Выхода нет"]),
    "<img src=x onerror=alert(1) image": (None, ["a < b & 'all' love", "<<b>bold</b> love"]),
    "100%_proof": (None, ["It's 'over'; DROP TABLE tracks; --"]),
}


@pytest.fixture
async def library(async_session: AsyncSession) -> None:
    """A few artists and tracks, committed."""
    for name, (album, titles) in ALBUMS.items():
        artist = Artist(name=name)
        async_session.add(artist)
        await async_session.flush()
        async_session.add_all(
            Track(artist_id=artist.id, title=title, album=album) for title in titles
        )
    await async_session.commit()


@pytest.fixture
async def client(library: None, database_url: URL) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on the library, over a pool as in production."""
    async with client_of(create_async_engine(database_url)) as client:
        yield client


@pytest.fixture
async def admin(async_engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection beside the application's, in autocommit mode."""
    async with async_engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


@pytest.fixture
async def locked(async_engine: AsyncEngine) -> AsyncIterator[Stop]:
    """Have every search wait until the test calls what this returns."""
    async with async_engine.connect() as connection:
        await connection.execute(text("LOCK TABLE artists, tracks IN ACCESS EXCLUSIVE MODE"))
        yield connection.rollback
