"""Values over asyncpg: by its own text, and by the codecs that an application registers."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from asyncpg import Connection
from pgvector.asyncpg import register_vector
from sqlalchemy import ARRAY, URL, Column, Integer, MetaData, Table, event, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from pgmodern.engine import create_async_engine
from pgmodern.errors import VectorError
from pgmodern.types import Bit, HalfVector, SparseVector, Vector, avg

ITEMS = Table(
    "items",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("v", Vector(3)),
    Column("h", HalfVector(3)),
    Column("s", SparseVector(3)),
    Column("b", Bit(3)),
    Column("several", ARRAY(Vector(3), dimensions=1)),
    prefixes=["TEMPORARY"],
)


async def _text_of_numbers(connection: Connection) -> None:
    """Register what somebody wrote who knows no package for it."""
    await connection.set_type_codec(
        "vector", schema="public", encoder=str, decoder=json.loads, format="text"
    )


@pytest.fixture(params=[create_async_engine, sa_create_async_engine], ids=["ours", "stock"])
def engine(request: pytest.FixtureRequest, migrated_database_url: URL) -> AsyncEngine:
    """An engine over asyncpg, of ours and as SQLAlchemy makes it."""
    create: Callable[..., AsyncEngine] = request.param
    url = migrated_database_url.set(drivername="postgresql+asyncpg")
    return create(url, poolclass=NullPool)


@pytest.fixture(
    params=[None, register_vector, _text_of_numbers], ids=["none", "pgvector's", "of its own"]
)
async def connection(
    request: pytest.FixtureRequest, engine: AsyncEngine
) -> AsyncIterator[AsyncConnection]:
    """A connection to the table, on which the application has registered codecs, or none."""
    if request.param is not None:

        @event.listens_for(engine.sync_engine, "connect")
        def register(dbapi_connection: Any, _: object) -> None:
            dbapi_connection.run_async(request.param)

    async with engine.connect() as connection:
        await connection.execute(CreateTable(ITEMS))
        yield connection


async def test_values_go_and_come_with_codecs_and_without(connection: AsyncConnection) -> None:
    rows: list[dict[str, Any]] = [
        {"v": [1, 2, 3], "h": [1, 2, 3], "s": {1: 2.5}, "b": "101", "several": [[1, 2, 3]]},
        {"v": np.ones(3), "h": np.ones(3), "s": [0, 0, 1], "b": [True] * 3, "several": []},
        dict.fromkeys(["v", "h", "s", "b", "several"]),
    ]
    await connection.execute(insert(ITEMS), rows)
    first, second, third = (await connection.execute(select(ITEMS).order_by("id"))).all()
    assert (first.v.dtype, first.v.tolist()) == (np.float32, [1, 2, 3])
    assert (first.h.dtype, first.h.tolist()) == (np.float16, [1, 2, 3])
    assert [first.s.to_list(), second.s.to_list()] == [[0, 2.5, 0], [0, 0, 1]]
    assert [first.b.tolist(), second.b.tolist()] == [[True, False, True], [True] * 3]
    assert [[each.tolist() for each in row.several] for row in (first, second)] == [[[1, 2, 3]], []]
    assert list(third) == [3, None, None, None, None, None]
    nearest = select(ITEMS.c.id).order_by(ITEMS.c.v.l2_distance([1, 1, 1])).limit(1)
    assert await connection.scalar(nearest) == 2
    mean = await connection.scalar(select(avg(ITEMS.c.v)))
    assert mean is not None
    assert mean.tolist() == [1, 1.5, 2]


async def test_what_a_column_cannot_hold_is_refused_as_ever(connection: AsyncConnection) -> None:
    for values in ({"v": [1]}, {"h": [1, 2, 1e6]}, {"s": [1]}):
        with pytest.raises(VectorError):
            await connection.execute(insert(ITEMS), values)
