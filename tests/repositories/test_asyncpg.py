"""Every read and write of the asynchronous repositories, and every type, over asyncpg."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import numpy as np
import pytest
from sqlalchemy import URL, insert, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine
from sqlalchemy.pool import NullPool

from pgmodern.engine import create_async_engine
from pgmodern.errors import VectorError
from pgmodern.queries import nearest
from pgmodern.types import avg
from pgmodern.types.sparse_vector import SparseValue
from tests.repositories.products import (
    STORED,
    AsyncDocuments,
    AsyncNeighbours,
    AsyncProducts,
    AsyncUnsold,
    Base,
    Item,
    Product,
    row,
    shop,
)

pytestmark = [pytest.mark.vector, pytest.mark.contrib]

TABLE = Base.metadata.tables["products"]


@pytest.fixture(scope="module")
def database_url(postgres_url: URL) -> Iterator[URL]:
    """A database with four products; every test rolls back."""
    with shop(postgres_url) as url:
        yield url.set(drivername="postgresql+asyncpg")


@pytest.fixture(params=[create_async_engine, sa_create_async_engine], ids=["ours", "stock"])
async def session(request: Any, database_url: URL) -> AsyncIterator[AsyncSession]:
    """A session over asyncpg, of an engine of ours and of one as SQLAlchemy makes it."""
    engine: AsyncEngine = request.param(database_url, poolclass=NullPool)
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


async def test_every_search_finds(session: AsyncSession) -> None:
    products = AsyncProducts(session)
    found = await products.fuzzy("produkt number 2")
    assert found[0].id == 2
    assert len(await products.full_text("number -foo")) == 4
    assert len(await products.search("number")) == 4
    assert (await products.suggest("product number 3"))[0].name == "product number 3"
    count = await products.estimated_count(Product.id > 1)
    assert (count.count, count.is_estimate) == (3, False)


async def test_nearest_of_every_type(session: AsyncSession) -> None:
    assert [hit.id for hit in await AsyncNeighbours(session).nearest(row(3)[7], 1)] == [3]
    filtered = await AsyncNeighbours(session).nearest(row(3)[7], 2, Product.id.in_([1, 2]))
    assert {hit.id for hit in filtered} == {1, 2}
    for index, place in ((Product.near_sparse, -2), (Product.near_bits, -1)):
        rows = (await session.execute(nearest(index, row(2)[place], 1))).all()
        assert rows[0][0] == 2


async def test_documents_in_pages(session: AsyncSession) -> None:
    documents = AsyncDocuments(session)
    assert (await documents.newest(1)).rows == [Item(4, "product number 4")]
    assert len((await documents.containing({"colour": "red"})).rows) == 4
    assert len((await documents.matching("$.size ? (@ > 2)")).rows) == 2
    page = await documents.where(Product.price == row(1)[3], size=3)
    assert len((await documents.newest(3, page.after)).rows) == 1


async def test_a_queue_is_emptied(session: AsyncSession) -> None:
    session.add_all([Product(id=number, name="new") for number in (11, 12)])
    unsold = AsyncUnsold(session)
    assert await unsold.claim(1) == [Item(11, "new")]
    assert await unsold.acknowledge([11, 12]) == 2
    assert await unsold.claim() == []


async def test_rows_of_every_type_are_stored_and_come_back(session: AsyncSession) -> None:
    given = [row(4), row(7), [8, "nothing", *[None] * 9]]
    assert await AsyncNeighbours(session).store(given) == 3
    columns = [TABLE.c[name] for name in STORED]
    found = (await session.execute(select(*columns).where(TABLE.c.id >= 7).order_by("id"))).all()
    stored = found[0]
    assert list(stored[:7]) == row(7)[:7]
    assert stored.embedding.tolist() == row(7)[7].tolist()
    assert stored.half.dtype == np.float16
    assert stored.sparse == SparseValue({7: 1.5}, 8)
    assert stored.bits.tolist() == row(7)[10].tolist()
    assert list(found[1]) == [8, "nothing", *[None] * 9]


async def test_every_form_of_a_value_is_sent(session: AsyncSession) -> None:
    values = {
        "embedding": list(range(8)),
        "half": np.arange(8, dtype=np.int64),
        "sparse": [0, 0, 3, 0, 0, 0, 0, 0],
        "bits": "10000001",
    }
    await session.execute(insert(Product).values(id=50, name="x", **values))
    found: Any = await session.get_one(Product, 50)
    assert found.embedding.tolist() == list(range(8))
    assert found.half.tolist() == list(range(8))
    assert found.sparse.to_list() == values["sparse"]
    assert found.bits.tolist() == [True, *[False] * 6, True]
    mean = await session.scalar(select(avg(Product.embedding)).where(Product.id == 50))
    assert mean is not None
    assert mean.tolist() == list(range(8))


async def test_what_cannot_be_stored_is_sqlalchemy_s_error(session: AsyncSession) -> None:
    with pytest.raises(VectorError):
        await AsyncNeighbours(session).store([[*row(9)[:7], [1, 2], None, None, None]])
    await session.rollback()
    with pytest.raises((IntegrityError, DataError)) as raised:
        await AsyncNeighbours(session).store([[9, None, *[None] * 9]])
    assert isinstance(raised.value.orig, asyncpg.NotNullViolationError) or raised.value.orig
    await session.rollback()
    assert len(await AsyncProducts(session).suggest("p")) == 4


async def test_a_load_is_a_part_of_the_transaction(session: AsyncSession) -> None:
    session.add(Product(id=60, name="pending"))
    assert await AsyncNeighbours(session).store([[60, "stored", *[None] * 9]]) == 1
    assert await session.scalar(select(TABLE.c.name).where(TABLE.c.id == 60)) == "stored"
    await session.rollback()
    assert await session.scalar(select(TABLE.c.name).where(TABLE.c.id == 60)) is None


async def test_times_keep_their_zone(session: AsyncSession) -> None:
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)
    await AsyncNeighbours(session).store([[61, "x", None, None, None, None, moment, *[None] * 4]])
    assert await session.scalar(select(TABLE.c.sold_at).where(TABLE.c.id == 61)) == moment
