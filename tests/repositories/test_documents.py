"""Search by document over a table of one's own."""

import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import URL, DateTime, Engine, Uuid, bindparam, create_engine, event, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.errors import DocumentError
from pgmodern.indexes import JsonbIndex, JsonbKeyIndex
from pgmodern.queries import Page
from pgmodern.repositories import AsyncDocumentRepository, DocumentRepository
from pgmodern.repositories.documents import _page
from pgmodern.testing.databases import database


class Base(DeclarativeBase):
    """The metadata of this file."""


class Order(Base):
    """An order of a shop."""

    __tablename__ = "orders"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    placed: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    basket: Mapped[Any] = mapped_column(JSONB)
    whole = JsonbIndex("ix_orders_basket", basket)
    total = JsonbKeyIndex("ix_orders_total", basket, "total", kind="number")


@dataclass(frozen=True, slots=True)
class OrderHit:
    """An order that was found."""

    id: uuid.UUID
    basket: Any


class OrderRepository(DocumentRepository[OrderHit]):
    row, payload = OrderHit, select(Order.id, Order.basket)
    document, newest_first = Order.whole, (Order.placed, Order.id)


class AsyncOrderRepository(AsyncDocumentRepository[OrderHit]):
    row, payload = OrderHit, select(Order.id, Order.basket)
    document, newest_first = Order.whole, (Order.placed, Order.id)


NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
ORDERS = 30


def _basket(number: int) -> dict[str, Any]:
    return {"total": number, "items": [{"name": "tea" if number % 3 else "mug"}]}


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with thirty orders, of which each three were placed at once."""
    with database(postgres_url, template_database) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            Base.metadata.create_all(connection)
            rows = [
                {
                    "id": uuid.UUID(int=number),
                    "placed": NOON + timedelta(seconds=number // 3),
                    "basket": _basket(number),
                }
                for number in range(ORDERS)
            ]
            connection.execute(insert(Order), rows)
        yield url


def _totals(page: Page[OrderHit]) -> list[int]:
    return [hit.basket["total"] for hit in page.rows]


READS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "newest": lambda orders: orders.newest,
    "containing": lambda orders: (
        lambda **page: orders.containing({"items": [{"name": "mug"}]}, **page)
    ),
    "matching": lambda orders: (
        lambda **page: orders.matching('$.items[*] ? (@.name == "mug")', **page)
    ),
    "where": lambda orders: (
        lambda **page: orders.where(
            Order.total.between(5, None), Order.id != uuid.UUID(int=7), **page
        )
    ),
}
EXPECTED = {
    "newest": list(range(29, -1, -1)),
    "containing": list(range(27, -1, -3)),
    "matching": list(range(27, -1, -3)),
    "where": [number for number in range(29, 4, -1) if number != 7],
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("size", [1, 7, 29, 30, 100])
def test_pages_hold_every_row_once_and_the_newest_first(
    read: str, size: int, session: Session
) -> None:
    ask = READS[read](OrderRepository(session))
    page = ask(size=size)
    totals = _totals(page)
    while page.after is not None:
        page = ask(size=size, after=page.after)
        totals += _totals(page)
    assert totals == EXPECTED[read]


@pytest.mark.parametrize("read", READS)
async def test_both_twins_answer_the_same(
    read: str, session: Session, async_session: AsyncSession
) -> None:
    ask = READS[read](OrderRepository(session))
    ask_the_other: Callable[..., Awaitable[Any]] = READS[read](AsyncOrderRepository(async_session))
    page = ask(size=4)
    assert await ask_the_other(size=4) == page
    assert await ask_the_other(size=4, after=page.after) == ask(size=4, after=page.after)
    assert await ask_the_other(size=0) == ask(size=0) == Page([], None)


@pytest.mark.parametrize("read", READS)
def test_a_read_is_one_statement(read: str, session: Session, engine: Engine) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    READS[read](OrderRepository(session))()
    assert len(sent) == 1


def test_a_condition_that_is_made_once_takes_its_values_with_each_call(session: Session) -> None:
    before = Order.placed < bindparam("moment")
    orders = OrderRepository(session)
    assert _totals(orders.where(before, moment=NOON + timedelta(seconds=1))) == [2, 1, 0]
    built = _page.cache_info().misses
    assert _totals(orders.where(before, moment=NOON)) == []
    first = orders.where(before, size=2, moment=NOON + timedelta(seconds=1))
    assert _page.cache_info().misses == built + 1  # of another size
    later = orders.where(before, size=2, after=first.after, moment=NOON + timedelta(seconds=1))
    assert _totals(first) + _totals(later) == [2, 1, 0]


@pytest.mark.quick
def test_only_a_path_that_finds_nothing_is_judged_by_a_second_one(
    session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    assert OrderRepository(session).matching("$.nothing") == Page([], None)
    assert len(sent) == 2


NOT_PATHS = ["", "items[*]", "$..((", "$items[*]", "$.a ? (@ > $low)", "\x00", "$." + "x" * 9000]


@pytest.mark.quick
@pytest.mark.parametrize("path", NOT_PATHS, ids=lambda path: repr(path)[:12])
def test_what_is_no_path_is_said_and_leaves_the_transaction_usable(
    path: str, session: Session
) -> None:
    orders = OrderRepository(session)
    with pytest.raises(DocumentError):
        orders.matching(path)
    assert len(orders.newest().rows) == 20


@pytest.mark.parametrize("path", NOT_PATHS, ids=lambda path: repr(path)[:12])
async def test_what_is_no_path_is_said_asynchronously_too(
    path: str, async_session: AsyncSession
) -> None:
    orders = AsyncOrderRepository(async_session)
    with pytest.raises(DocumentError):
        await orders.matching(path)
    assert len((await orders.newest()).rows) == 20


@pytest.mark.parametrize("document", [{"a": float("nan")}, "\x00", {"a": {1, 2}}, "\ud800"])
def test_what_is_no_document_is_said_before_anything_is_sent(
    document: Any, session: Session
) -> None:
    with pytest.raises(DocumentError):
        OrderRepository(session).containing(document)
    assert not session.in_transaction()


@pytest.mark.quick
def test_a_wrong_position_is_refused(session: Session) -> None:
    for after in ((), (NOON,), (NOON, uuid.UUID(int=1), 3)):
        with pytest.raises(ValueError, match="a position has 2 values"):
            OrderRepository(session).newest(after=after)
    for odd in (("noon", uuid.UUID(int=1)), (NOON, "1")):
        with pytest.raises(ValueError, match="a position has no"):
            OrderRepository(session).newest(after=odd)
    with pytest.raises(ValueError, match=r"limit|size"):
        OrderRepository(session).newest(-1)


class Letter(Base):
    """A row whose attribute is called otherwise than its column."""

    __tablename__ = "letters"

    number: Mapped[int] = mapped_column("id", primary_key=True)
    written: Mapped[datetime] = mapped_column("written_at", DateTime(timezone=True))
    content: Mapped[Any] = mapped_column("body", JSONB)
    whole = JsonbIndex("ix_letters_body", content)


class LetterRepository(DocumentRepository[int]):
    row, payload = staticmethod(lambda number: number), select(Letter.number)
    document, newest_first = Letter.whole, (Letter.written, Letter.number)


def test_attributes_may_be_called_otherwise_than_their_columns(session: Session) -> None:
    for number in range(5):
        session.add(Letter(number=number, written=NOON, content={"to": "you"}))
    session.flush()
    letters = LetterRepository(session)
    first = letters.containing({"to": "you"}, 3)
    assert first.rows == [4, 3, 2]
    assert letters.containing({"to": "you"}, 3, first.after).rows == [1, 0]
    assert letters.newest(3, first.after).rows == [1, 0]
