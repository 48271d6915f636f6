"""A queue of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest
from sqlalchemy import URL, Text, create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.queries import Queue
from pgmodern.repositories import AsyncQueueRepository, QueueRepository
from pgmodern.testing.databases import database


class Base(DeclarativeBase):
    """The metadata of this file."""


class Letter(Base):
    """Something to send."""

    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    sent_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A letter to send."""

    id: int
    text: str


LETTERS = Queue(Base.metadata.tables["letters"], "sent_at", ("id",))


class LetterRepository(QueueRepository[LetterRow]):
    row, payload, queue = LetterRow, select(Letter.id, Letter.text), LETTERS


class AsyncLetterRepository(AsyncQueueRepository[LetterRow]):
    row, payload, queue = LetterRow, select(Letter.id, Letter.text), LETTERS


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with five letters."""
    with database(postgres_url, template_database) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            Base.metadata.create_all(connection)
            letters = [{"id": number, "text": f"letter {number}"} for number in range(5)]
            connection.execute(insert(Letter), letters)
        yield url


@pytest.mark.quick
def test_what_is_acknowledged_does_not_come_again(session: Session) -> None:
    letters = LetterRepository(session)
    assert letters.claim(2) == [LetterRow(0, "letter 0"), LetterRow(1, "letter 1")]
    assert letters.acknowledge([0, 1, 9]) == 2
    assert letters.acknowledge([1]) == 0
    assert [letter.id for letter in letters.claim()] == [2, 3, 4]
    session.rollback()
    assert [letter.id for letter in letters.claim()] == [0, 1, 2, 3, 4]


async def test_both_twins_do_the_same(session: Session, async_session: AsyncSession) -> None:
    one, other = LetterRepository(session), AsyncLetterRepository(async_session)
    answers = one.claim(3), one.acknowledge([0, 2]), one.claim()
    session.rollback()
    assert (await other.claim(3), await other.acknowledge([0, 2]), await other.claim()) == answers
    await async_session.rollback()
