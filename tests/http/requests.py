"""Requests to the application, and what its tests do to the database behind it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgmodern.engine import create_async_engine
from pgmodern.http import create_app

SEARCHES = [
    f"/api/v1/{kind}/{search}"
    for kind in ("tracks", "artists")
    for search in ("fuzzy", "full-text", "search", "suggest")
]
Stop = Callable[[], Awaitable[None]]


@asynccontextmanager
async def client_of(
    engine: AsyncEngine, seconds: float = 30.0, *, raising: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on this engine; closed by the application's own lifespan."""
    app = create_app(engine, timeout=seconds)
    transport = httpx.ASGITransport(app, raise_app_exceptions=raising)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


def at_port(listening: socket.socket) -> AsyncEngine:
    """Return an engine on something that listens but is no PostgreSQL."""
    return create_async_engine(f"postgresql://u:hidden@127.0.0.1:{listening.getsockname()[1]}/d")


def nowhere() -> AsyncEngine:
    """Return an engine on a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return at_port(closed)


async def found(client: httpx.AsyncClient, path: str, q: str, **more: Any) -> list[dict[str, Any]]:
    """Return the rows of a search that must succeed."""
    response = await client.get(f"/api/v1/{path}", params={"q": q, **more})
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["query"] == q.strip()
    assert all(0 <= row["score"] <= 1 for row in body["results"])
    return list(body["results"])


async def others(admin: AsyncConnection, condition: str) -> list[int]:
    """Return the other sessions in this database of which the condition holds."""
    asked = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        f"AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND {condition}"
    )
    return list(await admin.scalars(asked))


async def until(admin: AsyncConnection, condition: str, count: int) -> list[int]:
    """Ask until exactly so many other sessions meet the condition, and return them."""
    async with asyncio.timeout(10):
        while len(pids := await others(admin, condition)) != count:
            pass
    return pids
