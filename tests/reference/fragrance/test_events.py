"""What users do: recorded in bulk, claimed in order, in a partition for each month."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.errors import DocumentError
from pgmodern.queries.explain import in_whole, indexes_used
from pgmodern.reference.fragrance import (
    AsyncUserInteractionEventRepository,
    Event,
    Fragrance,
    NewEvent,
    User,
    UserInteractionEventRepository,
)
from tests.plans import MODES, parts, reported

IDS = [uuid.UUID(int=number) for number in range(50)]
START = datetime(2026, 1, 1, tzinfo=UTC)


def _event(number: int, **given: Any) -> NewEvent:
    values: dict[str, Any] = {
        "user_id": IDS[number % 5],
        "event_type": "view",
        "fragrance_id": IDS[number % 50] if number % 3 else None,
        "timestamp": START + timedelta(minutes=number),
        "id": uuid.UUID(int=number),
    }
    return NewEvent(**(values | given))


EVENTS = [_event(number) for number in range(2_000)]


def _numbers(events: list[Event]) -> list[int]:
    return [event.id.int for event in events]


def test_events_are_claimed_in_their_order_and_done_once(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    assert events.record(reversed(EVENTS[:30])) == 30
    claimed = events.claim(10)
    assert _numbers(claimed) == list(range(10))
    assert claimed[1] == Event(
        uuid.UUID(int=1), IDS[1], IDS[1], "view", {}, START + timedelta(minutes=1)
    )
    assert events.acknowledge([event.id for event in claimed]) == 10
    assert events.acknowledge([event.id for event in claimed]) == 0
    assert _numbers(events.claim()) == list(range(10, 30))


def test_an_event_that_is_recorded_again_is_there_once_and_stays_done(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record(EVENTS[:10])
    events.acknowledge([EVENTS[0].id])
    assert events.record(EVENTS[:10]) == 10
    assert _numbers(events.claim()) == list(range(1, 10))


@pytest.mark.parametrize("details", [{"a": "\x00"}, {"a": float("nan")}, {"\x00": 1}])
def test_what_jsonb_cannot_hold_is_refused(details: Any, session: Session) -> None:
    with pytest.raises(DocumentError), session.begin_nested():
        UserInteractionEventRepository(session).record([_event(1), _event(2, details=details)])
    assert UserInteractionEventRepository(session).claim() == []


def test_an_event_of_nobody_is_refused(session: Session) -> None:
    with pytest.raises(IntegrityError), session.begin_nested():
        UserInteractionEventRepository(session).record([_event(1, user_id=uuid.uuid4())])
    with pytest.raises(DBAPIError), session.begin_nested():
        UserInteractionEventRepository(session).record([_event(1, event_type="")])


def test_the_latest_events_of_a_user_come_in_pages(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record(EVENTS[:100])
    page = events.latest(IDS[2], 8)
    found = page.rows
    while page.after is not None:
        page = events.latest(IDS[2], 8, page.after)
        found += page.rows
    assert _numbers(found) == list(range(97, 0, -5))
    assert events.latest(uuid.uuid4()).rows == []
    with pytest.raises(ValueError, match="position"):
        events.latest(IDS[2], 8, ("now", 1))


@pytest.mark.quick
def test_what_is_gone_leaves_the_event_or_takes_it_along(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record([_event(1), _event(2)])
    session.execute(delete(Fragrance).where(Fragrance.id == IDS[1]))
    session.execute(delete(User).where(User.id == IDS[2]))
    assert [(each.id.int, each.fragrance_id) for each in events.claim()] == [(1, None)]


# --- partitions


def _monthly(months: int, each: int = 500) -> list[NewEvent]:
    """Make events of the months before this one and of as many after it."""
    now = datetime.now(UTC).replace(hour=12)
    days = [timedelta(days=30 * month) for month in range(-months, months)]
    return [
        _event(number, timestamp=now + day + timedelta(seconds=number), id=uuid.uuid4())
        for day in days
        for number in range(each)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_events_are_read_by_their_indexes(mode: str, session: Session) -> None:
    events, recorded = UserInteractionEventRepository(session), _monthly(3)
    events.record(recorded)
    events.acknowledge([event.id for event in recorded[:1_200]])
    session.connection().exec_driver_sql("ANALYZE user_interaction_events")
    with reported(session, mode, analyze=True) as collected:
        claimed, latest = events.claim(20), events.latest(IDS[2], 5).rows
    assert [event.id for event in claimed] == [event.id for event in recorded[1_200:1_220]]
    theirs = [event.id for event in recorded if event.user_id == IDS[2]]
    assert [event.id for event in latest] == theirs[:-6:-1]
    claim, page = collected
    assert in_whole(session, indexes_used(claim)) == {
        "ix_user_interaction_events_unprocessed",
        "ix_user_interaction_events_unprocessed_by_user",
    }
    assert in_whole(session, indexes_used(page)) == {"ix_user_interaction_events_user_id_timestamp"}


@pytest.mark.parametrize("mode", MODES)
def test_months_before_the_page_are_not_read(mode: str, session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record(_monthly(3))
    session.connection().exec_driver_sql("ANALYZE user_interaction_events")
    with reported(session, mode, analyze=True) as collected:
        events.latest(IDS[2], 5)
    scans = [part for part in parts(collected[0]) if "Relation Name" in part]
    read = [scan["Relation Name"] for scan in scans if scan["Actual Rows"] * scan["Actual Loops"]]
    assert len(scans) > 3
    assert len(read) == 1


def test_each_month_of_the_year_to_come_has_its_partition(session: Session) -> None:
    days, now = range(0, 365, 5), datetime.now(UTC)
    ahead = [_event(day, timestamp=now + timedelta(days=day)) for day in days]
    assert UserInteractionEventRepository(session).record([*ahead, _event(1)]) == len(days) + 1
    months = "SELECT count(DISTINCT tableoid) FROM user_interaction_events"
    assert session.scalar(text(months)) in (12, 13)


# --- the twins


@pytest.mark.quick
async def test_the_twins_of_events_answer_the_same(
    session: Session, async_session: AsyncSession
) -> None:
    one = UserInteractionEventRepository(session)
    answers = [one.record(EVENTS[:20]), one.claim(5), one.acknowledge([EVENTS[0].id])]
    pages = one.latest(IDS[1], 2), one.latest(IDS[1], 2, (EVENTS[11].timestamp, EVENTS[11].id))
    session.rollback()
    other = AsyncUserInteractionEventRepository(async_session)
    assert [
        await other.record(EVENTS[:20]),
        await other.claim(5),
        await other.acknowledge([EVENTS[0].id]),
    ] == answers
    assert await other.latest(IDS[1], 2) == pages[0]
    after = (EVENTS[11].timestamp, EVENTS[11].id)
    assert await other.latest(IDS[1], 2, after) == pages[1]
    await async_session.rollback()
