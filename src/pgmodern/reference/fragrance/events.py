"""What users do, as it is recorded and as it is read."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from pgmodern.indexes.jsonb import Json, encoded
from pgmodern.queries import Page, Queue
from pgmodern.queries.pages import Position, checked, cut
from pgmodern.reference.fragrance.models import Base, UserInteractionEvent
from pgmodern.reference.fragrance.statements import NEWEST_FIRST


@dataclass(frozen=True, slots=True)
class Event:
    """What a user did."""

    id: uuid.UUID
    user_id: uuid.UUID
    fragrance_id: uuid.UUID | None
    event_type: str
    details: Any
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What to record of what a user did; recorded again under the same id, it is there once."""

    user_id: uuid.UUID
    event_type: str
    fragrance_id: uuid.UUID | None = None
    details: Json = field(default_factory=dict)
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: uuid.UUID = field(default_factory=uuid.uuid4)


EVENTS = Queue(
    Base.metadata.tables[UserInteractionEvent.__tablename__],
    done="processed_at",
    order=("timestamp", "id"),
    within="user_id",
)
RECORDED = ("id", "user_id", "fragrance_id", "event_type", "details", "timestamp")
_EVENT_VALUES = attrgetter(*RECORDED)


def recorded(events: Iterable[NewEvent]) -> Iterator[tuple[Any, ...]]:
    """Return what to store of events, in the order of `RECORDED`; may raise DocumentError."""
    for event in events:
        encoded(event.details)  # refuses what JSONB cannot hold
        yield _EVENT_VALUES(event)


def place(after: Position | None) -> dict[str, Any]:
    """Return the values that say after which event a page begins."""
    if after is None:
        return {}
    columns = [each.__clause_element__() for each in NEWEST_FIRST]
    return dict(zip(("after_timestamp", "after_id"), checked(after, columns), strict=True))


def event_page(found: Iterable[Any], size: int) -> Page[Event]:
    """Return the events that were found as a page."""
    events = [Event(*each) for each in found]
    return cut([(event, (event.timestamp, event.id)) for event in events], size)
