"""The last rows of each of several groups."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import ForeignKey, Index, Text, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.queries import last_of_each
from pgmodern.queries.statement import Statement
from tests.plans import reported


class Base(DeclarativeBase):
    """The metadata of this file."""


class Room(Base):
    """What notes are put up in."""

    __tablename__ = "rooms"

    number: Mapped[int] = mapped_column("id", primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class Note(Base):
    """A note; several may be of the same minute."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[int] = mapped_column(ForeignKey("rooms.id"))
    minute: Mapped[int] = mapped_column()

    of_room = Index("ix_notes_room_minute", room, minute.desc())


@pytest.fixture
def rooms(session: Session) -> Session:
    """A session that has the tables."""
    Base.metadata.create_all(session.connection())
    return session


def _last(n: int, groups: Statement | None = None) -> Statement:
    groups = select(Room.number, Room.name).order_by(Room.name) if groups is None else groups
    same = (Room.number, Note.room)
    return last_of_each(groups, select(Note.id, Note.minute), same, (Note.minute, Note.id), n)


def _add(session: Session, minutes: Sequence[Sequence[int]]) -> list[tuple[int, str, int, int]]:
    """Add a room with notes for each list of minutes; return all notes, the last first."""
    rooms = [{"number": n, "name": f"{999 - n}"} for n in range(len(minutes))]
    notes = [{"room": n, "minute": minute} for n, each in enumerate(minutes) for minute in each]
    for number, note in enumerate(notes):
        note["id"] = number
    if rooms:
        session.execute(insert(Room), rooms)
    if notes:
        session.execute(insert(Note), notes)
    return [
        (note["room"], f"{999 - note['room']}", note["id"], note["minute"])
        for note in sorted(notes, key=lambda n: (n["room"], n["minute"], n["id"]), reverse=True)
    ]


def _expected(
    notes: list[tuple[int, str, int, int]], groups: int, n: int
) -> Iterator[tuple[int, str, int | None, int | None]]:
    for room in reversed(range(groups)):
        of_room = [note for note in notes if note[0] == room][:n]
        yield from of_room
        if not of_room:
            yield (room, f"{999 - room}", None, None)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(minutes=st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=5), n=st.integers(0, 7))
@example(minutes=[], n=2)
@example(minutes=[[], [1]], n=0)
@example(minutes=[[1, 1, 1], []], n=2)
def test_each_group_comes_with_its_last_members_and_in_its_order(
    rooms: Session, minutes: list[list[int]], n: int
) -> None:
    with rooms.begin_nested() as savepoint:
        notes = _add(rooms, minutes)
        found = [tuple(row) for row in rooms.execute(_last(n))]
        savepoint.rollback()
    assert found == list(_expected(notes, len(minutes), n))


@pytest.mark.quick
def test_only_the_groups_asked_for_come(rooms: Session) -> None:
    _add(rooms, [[1, 2], [3], [4]])
    groups = select(Room.number, Room.name).where(Room.number < 2).order_by(Room.number).limit(1)
    assert [tuple(row) for row in rooms.execute(_last(5, groups))] == [
        (0, "999", 1, 2),
        (0, "999", 0, 1),
    ]


def _scans(node: Any) -> Iterator[dict[str, Any]]:
    if node.get("Index Name") == "ix_notes_room_minute":
        yield node
    for child in node.get("Plans", ()):
        yield from _scans(child)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_no_more_than_the_last_are_read(rooms: Session, mode: str) -> None:
    _add(rooms, [range(2_000)] * 10)
    rooms.execute(text("ANALYZE rooms, notes"))
    with reported(rooms, mode, analyze=True) as plans:
        assert len(rooms.execute(_last(3)).all()) == 30
    (scan,) = (scan for plan in plans for scan in _scans(plan))
    assert scan["Actual Loops"] == 10
    assert scan["Actual Rows"] <= 4  # and the first of another minute, which ends the last's ties


@pytest.mark.parametrize("n", [-1, 2**63])
def test_a_number_that_is_none_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        _last(n)


@pytest.mark.quick
def test_an_order_that_is_not_selected_is_refused() -> None:
    groups, members = select(Room.number), select(Note.id)
    with pytest.raises(ValueError, match="minute is not selected"):
        last_of_each(groups, members, (Room.number, Note.room), (Note.minute, Note.id), 1)
