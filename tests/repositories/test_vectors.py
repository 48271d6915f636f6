"""Search by meaning, and storage in bulk, over a table of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import (
    URL,
    Engine,
    ForeignKey,
    Text,
    bindparam,
    create_engine,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.errors import VectorError
from pgmodern.extensions import create_sql
from pgmodern.indexes import HnswIndex
from pgmodern.repositories import AsyncVectorRepository, VectorRepository
from pgmodern.repositories.vectors import _nearest
from pgmodern.testing.databases import database
from pgmodern.types import Vector

pytestmark = pytest.mark.vector


class Base(DeclarativeBase):
    """The metadata of this file."""


class Shelf(Base):
    """Where pictures are."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)


class Picture(Base):
    """A picture and what it shows."""

    __tablename__ = "pictures"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"))
    name: Mapped[str] = mapped_column(Text)
    vector: Mapped[Any] = mapped_column(Vector(2))
    vector_hnsw = HnswIndex("ix_pictures_vector", vector)


@dataclass(frozen=True, slots=True)
class PictureHit:
    """A picture that is near."""

    name: str
    score: float


class PictureRepository(VectorRepository[PictureHit]):
    row, payload, vectors = PictureHit, select(Picture.name), Picture.vector_hnsw
    stored, unique = ("id", "shelf_id", "name", "vector"), ("id",)


class AsyncPictureRepository(AsyncVectorRepository[PictureHit]):
    row, payload, vectors = PictureHit, select(Picture.name), Picture.vector_hnsw
    stored, unique = ("id", "shelf_id", "name", "vector"), ("id",)


PICTURES = [("sea", [0, 1]), ("beach", [1, 1]), ("desert", [1, 0]), ("void", [-1, -1])]


@pytest.fixture(scope="module")
def database_url(postgres_url: URL) -> Iterator[URL]:
    """A database with some pictures."""
    with database(postgres_url) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text(create_sql("vector")))
            Base.metadata.create_all(connection)
            connection.execute(insert(Shelf), [{"id": 1}, {"id": 2}])
            rows = [
                {"id": number, "shelf_id": number % 2 + 1, "name": name, "vector": vector}
                for number, (name, vector) in enumerate(PICTURES)
            ]
            connection.execute(insert(Picture), rows)
        yield url


def _names(hits: list[PictureHit]) -> list[str]:
    return [hit.name for hit in hits]


def test_the_nearest_come_first(session: Session) -> None:
    pictures = PictureRepository(session)
    assert _names(pictures.nearest([0.1, 1])) == ["sea", "beach", "desert", "void"]
    assert _names(pictures.nearest([0.1, 1], 2)) == ["sea", "beach"]
    assert pictures.nearest([0, 1], 1) == [PictureHit("sea", 1.0)]
    shelved = pictures.nearest([0.1, 1], 10, Picture.shelf_id == 2, Picture.name != "void")
    assert _names(shelved) == ["beach"]


def test_a_condition_that_is_made_once_takes_its_values_with_each_call(session: Session) -> None:
    on_shelf = Picture.shelf_id == bindparam("shelf")
    pictures = PictureRepository(session)
    assert _names(pictures.nearest([0.1, 1], 10, on_shelf, shelf=1)) == ["sea", "desert"]
    built = _nearest.cache_info().misses
    assert _names(pictures.nearest([0.1, 1], 10, on_shelf, shelf=2)) == ["beach", "void"]
    assert _names(pictures.nearest([0.1, 1], 10, on_shelf, shelf=3)) == []
    assert _nearest.cache_info().misses == built


async def test_both_twins_answer_the_same(session: Session, async_session: AsyncSession) -> None:
    pictures, others = PictureRepository(session), AsyncPictureRepository(async_session)
    for vector in ([0.1, 1], np.array([1, 0.2]), (-1, -2), [0, 0]):
        for k in (1, 3, 10):
            for where in ((), (Picture.shelf_id == 1,)):
                answer = pictures.nearest(vector, k, *where, ef_search=50)
                assert await others.nearest(vector, k, *where, ef_search=50) == answer


async def test_both_twins_store_the_same(session: Session, async_session: AsyncSession) -> None:
    rows = [(1, 1, "hill", [3, 4]), (7, 2, "lake", [0, 2]), (7, 2, "pond", [0, 3])]
    everything = select(Picture.id, Picture.shelf_id, Picture.name).order_by(Picture.id)
    assert PictureRepository(session).store(rows) == 2
    stored = session.execute(everything).all()
    session.rollback()
    assert await AsyncPictureRepository(async_session).store(rows) == 2
    assert (await async_session.execute(everything)).all() == stored
    assert stored[1:] == [(1, 1, "hill"), (2, 1, "desert"), (3, 2, "void"), (7, 2, "pond")]


@pytest.mark.parametrize("where", [(), (Picture.shelf_id == 1,), (Picture.id < 0,)])
def test_a_read_is_one_statement(where: Any, session: Session, engine: Engine) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    PictureRepository(session).nearest([0, 1], 10, *where)
    assert len(sent) == 1


@pytest.mark.quick
def test_a_wrong_vector_is_refused_before_anything_is_sent(session: Session) -> None:
    pictures = PictureRepository(session)
    for vector in ([1], [1, 2, 3], [float("nan"), 1], "12", []):
        with pytest.raises(VectorError):
            pictures.nearest(vector)
    assert not session.in_transaction()
    assert len(pictures.nearest([0, 1])) == 4


def test_a_wrong_vector_among_many_stores_none(session: Session) -> None:
    pictures = PictureRepository(session)
    with pytest.raises(VectorError), session.begin_nested():
        pictures.store([(8, 1, "good", [1, 1]), (9, 1, "bad", [1])])
    assert session.get(Picture, 8) is None


async def test_a_wrong_vector_among_many_stores_none_asynchronously(
    async_session: AsyncSession,
) -> None:
    pictures = AsyncPictureRepository(async_session)
    with pytest.raises(VectorError):
        async with async_session.begin_nested():
            await pictures.store([(8, 1, "good", [1, 1]), (9, 1, "bad", [1])])
    assert await async_session.get(Picture, 8) is None


def test_what_is_stored_is_part_of_the_session_s_transaction(session: Session) -> None:
    pictures = PictureRepository(session)
    session.add(Shelf(id=3))
    assert pictures.store([(9, 3, "new", [5, 5])]) == 1
    assert "new" in _names(pictures.nearest([1, 1]))
    session.rollback()
    assert "new" not in _names(pictures.nearest([1, 1]))


async def test_what_is_stored_is_part_of_the_asynchronous_session_s_transaction(
    async_session: AsyncSession,
) -> None:
    pictures = AsyncPictureRepository(async_session)
    async_session.add(Shelf(id=3))
    assert await pictures.store([(9, 3, "new", [5, 5])]) == 1
    await async_session.rollback()
    assert "new" not in _names(await pictures.nearest([1, 1]))


def test_a_refusal_by_the_server_is_sqlalchemy_s_as_any_other(session: Session) -> None:
    pictures = PictureRepository(session)
    with pytest.raises(IntegrityError), session.begin_nested():
        pictures.store([(9, 99, "on no shelf", [5, 5])])
    assert len(pictures.nearest([1, 1])) == 4


NUL = [(8, 1, "good", [1, 1]), (9, 1, "no \x00 text", [1, 1])]


def test_a_refusal_of_the_copy_is_sqlalchemy_s_too(session: Session) -> None:
    with pytest.raises(DBAPIError) as refused, session.begin_nested():
        PictureRepository(session).store(NUL)
    assert isinstance(refused.value.orig, psycopg.Error)
    assert session.get(Picture, 8) is None


async def test_a_refusal_of_the_copy_is_sqlalchemy_s_asynchronously_too(
    async_session: AsyncSession,
) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with async_session.begin_nested():
            await AsyncPictureRepository(async_session).store(NUL)
    assert isinstance(refused.value.orig, psycopg.Error)
    assert await async_session.get(Picture, 8) is None
