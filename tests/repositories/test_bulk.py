"""Bulk storage in a table of one's own that has no vectors."""

from collections.abc import Iterator

import pytest
from sqlalchemy import URL, Text, create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.repositories import AsyncBulkRepository, BulkRepository
from pgmodern.testing.databases import database


class Base(DeclarativeBase):
    """The metadata of this file."""


class Stamp(Base):
    """Something to collect."""

    __tablename__ = "stamps"

    id: Mapped[int] = mapped_column(primary_key=True)
    country: Mapped[str] = mapped_column(Text, default="?", server_default="none")
    value: Mapped[int | None]


class StampRepository(BulkRepository):
    table = Base.metadata.tables["stamps"]
    stored, unique = ("id", "value"), ("id",)


class AsyncStampRepository(AsyncBulkRepository):
    table = Base.metadata.tables["stamps"]
    stored, unique = ("id", "value"), ("id",)


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with an empty table."""
    with database(postgres_url, template_database) as url:
        Base.metadata.create_all(create_engine(url, poolclass=NullPool))
        yield url


STAMPS = select(Stamp.id, Stamp.country, Stamp.value).order_by(Stamp.id)


def test_rows_are_inserted_or_updated_and_other_columns_left(session: Session) -> None:
    stamps = StampRepository(session)
    session.add(Stamp(id=1, country="France", value=10))
    assert stamps.store([(1, 20), (2, 30), (2, None)]) == 2
    assert session.execute(STAMPS).all() == [(1, "France", 20), (2, "none", None)]
    assert stamps.store([]) == 0


async def test_both_twins_store_the_same(session: Session, async_session: AsyncSession) -> None:
    rows = [(number % 50, number) for number in range(120)]
    assert StampRepository(session).store(iter(rows)) == 50
    stored = session.execute(STAMPS).all()
    session.rollback()
    assert await AsyncStampRepository(async_session).store(iter(rows)) == 50
    assert (await async_session.execute(STAMPS)).all() == stored
    await async_session.rollback()
