"""Keyset pages: every row once, in order, however many at a time."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import DateTime, Text, TypeDecorator, Uuid, column, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.queries import Page, page
from pgmodern.queries.pages import Position, checked, cut
from pgmodern.types import Vector


class Base(DeclarativeBase):
    """The metadata of this file."""


class Note(Base):
    """Something written at a time that others may share."""

    __tablename__ = "notes"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    written: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    words: Mapped[str] = mapped_column(Text)
    read: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


TABLE = Note.__table__
NEWEST_FIRST = (TABLE.c.written, TABLE.c.id)
NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
Key = tuple[datetime, uuid.UUID]


@pytest.fixture
def notes(session: Session) -> Session:
    """A session that has the table."""
    Base.metadata.create_all(session.connection())
    return session


def _add(session: Session, *keys: Key) -> None:
    rows = [{"written": written, "id": number, "words": "x"} for written, number in keys]
    session.execute(insert(Note), rows)


def _page(session: Session, size: int, after: Position | None = None) -> Page[Key]:
    found = session.execute(page(select(*NEWEST_FIRST), NEWEST_FIRST, after, size))
    return cut([((row.written, row.id), tuple(row)) for row in found], size)


def _pages(session: Session, size: int) -> Iterator[Page[Key]]:
    after: Position | None = None
    while True:
        found = _page(session, size, after)
        yield found
        after = found.after
        if after is None:
            return


# Few moments, microseconds apart, so that many rows share theirs.
_keys = st.sets(
    st.tuples(
        st.integers(0, 3).map(lambda n: NOON + timedelta(microseconds=n)),
        st.uuids() | st.integers(0, 20).map(lambda n: uuid.UUID(int=n)),
    ),
    max_size=25,
).filter(lambda keys: len({number for _, number in keys}) == len(keys))
_quick = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


@_quick
@given(keys=_keys, size=st.integers(1, 30))
def test_every_row_comes_once_and_in_order(notes: Session, keys: set[Key], size: int) -> None:
    with notes.begin_nested() as savepoint:
        if keys:
            _add(notes, *keys)
        pages = list(_pages(notes, size))
        assert [key for each in pages for key in each.rows] == sorted(keys, reverse=True)
        assert all(len(each.rows) == size for each in pages[:-1])
        assert all(each.after is not None for each in pages[:-1])
        savepoint.rollback()


@_quick
@given(keys=_keys, more=_keys, size=st.integers(1, 5))
def test_rows_that_come_in_between_neither_repeat_nor_hide_others(
    notes: Session, keys: set[Key], more: set[Key], size: int
) -> None:
    late = {key for key in more if key[1] not in {number for _, number in keys}}
    with notes.begin_nested() as savepoint:
        if keys:
            _add(notes, *keys)
        seen: list[Key] = []
        for number, each in enumerate(_pages(notes, size)):
            seen += each.rows
            if number == 0 and late:
                _add(notes, *late)
        assert len(seen) == len(set(seen))
        assert keys <= set(seen)
        assert [key for key in seen if key in keys] == sorted(keys, reverse=True)
        savepoint.rollback()


def _key(number: int) -> Key:
    return NOON + timedelta(seconds=number), uuid.UUID(int=number)


def test_a_row_that_was_the_last_of_its_page_may_be_gone_by_the_next(notes: Session) -> None:
    _add(notes, *(_key(number) for number in range(5)))
    first = _page(notes, 2)
    gone = notes.get(Note, first.rows[-1][1])
    notes.delete(gone)
    notes.flush()
    assert _page(notes, 2, first.after).rows == [_key(2), _key(1)]


@pytest.mark.parametrize("size", [5, 6, 100])
def test_the_last_page_says_that_none_follows(size: int, notes: Session) -> None:
    _add(notes, *(_key(number) for number in range(5)))
    found = _page(notes, size)
    assert len(found.rows) == 5
    assert found.after is None


def test_an_empty_page_ends_the_reading(notes: Session) -> None:
    assert _page(notes, 10) == Page([], None)
    _add(notes, _key(1))
    assert _page(notes, 0) == Page([], None)
    assert _page(notes, 10, _key(1)) == Page([], None)


@pytest.mark.parametrize("size", [-1, -2, -100])
def test_a_size_below_zero_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=r"limit|size"):
        page(select(*NEWEST_FIRST), NEWEST_FIRST, None, size)


@pytest.mark.parametrize("after", [(), (NOON,), (NOON, uuid.UUID(int=1), 1)])
def test_a_position_of_another_order_is_refused(after: Position) -> None:
    with pytest.raises(ValueError, match="a position has 2 values"):
        page(select(*NEWEST_FIRST), NEWEST_FIRST, after, 10)


@pytest.mark.parametrize("after", [("noon", uuid.UUID(int=1)), (NOON, 1), (NOON, None)])
def test_a_position_of_other_types_is_refused(after: Position) -> None:
    with pytest.raises(ValueError, match="a position has no"):
        page(select(*NEWEST_FIRST), NEWEST_FIRST, after, 10)


class Code(TypeDecorator[complex]):
    """A type whose values are not those of what it is stored as."""

    impl = Text
    cache_ok = True


@pytest.mark.quick
def test_what_only_the_type_can_tell_is_left_to_it() -> None:
    order = (column("code", Code), column("vector", Vector(2)), TABLE.c.id)
    assert checked((1j, [1, 2], uuid.UUID(int=1)), order) == (1j, [1, 2], uuid.UUID(int=1))


@pytest.mark.quick
def test_an_order_that_would_lose_rows_is_refused() -> None:
    order = (TABLE.c.read, TABLE.c.id)
    with pytest.raises(ValueError, match="read, which may be NULL"):
        page(select(*order), order, None, 10)


def test_a_position_is_a_value_and_never_sql(notes: Session) -> None:
    _add(notes, _key(1))
    words = [TABLE.c.words, TABLE.c.id]
    after = ("a' OR true --", uuid.UUID(int=2))
    found = notes.execute(page(select(TABLE.c.words), words, after, 10)).all()
    assert found == []
