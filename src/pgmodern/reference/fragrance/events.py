"""What users do: recorded in bulk, learnt from in batches, in order for each user."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from pgmodern.indexes.jsonb import Json, encoded
from pgmodern.queries import Page, Queue
from pgmodern.queries.pages import Position, checked, cut
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.models import Base, UserInteractionEvent
from pgmodern.reference.fragrance.statements import NEWEST_FIRST
from pgmodern.repositories import (
    AsyncBulkRepository,
    AsyncQueueRepository,
    BulkRepository,
    QueueRepository,
)


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


_EVENTS = Queue(
    Base.metadata.tables[UserInteractionEvent.__tablename__],
    done="processed_at",
    order=("timestamp", "id"),
    within="user_id",
)
_RECORDED = ("id", "user_id", "fragrance_id", "event_type", "details", "timestamp")
_EVENT_VALUES = attrgetter(*_RECORDED)


def _recorded(events: Iterable[NewEvent]) -> Iterator[tuple[Any, ...]]:
    for event in events:
        encoded(event.details)  # refuses what JSONB cannot hold
        yield _EVENT_VALUES(event)


def _after(after: Position | None) -> dict[str, Any]:
    if after is None:
        return {}
    columns = [each.__clause_element__() for each in NEWEST_FIRST]
    return dict(zip(("after_timestamp", "after_id"), checked(after, columns), strict=True))


def _page(found: Iterable[Any], size: int) -> Page[Event]:
    events = [Event(*each) for each in found]
    return cut([(event, (event.timestamp, event.id)) for event in events], size)


class UserInteractionEventRepository(QueueRepository[Event], BulkRepository):
    """What users do: recorded in bulk, learnt from in batches, in order for each user."""

    row, payload = Event, statements.EVENT
    queue, table = _EVENTS, _EVENTS.table
    stored, unique = _RECORDED, ("id", "timestamp")

    def record(self, events: Iterable[NewEvent]) -> int:
        """Record events in bulk, as `store` does; return how many. May raise DocumentError."""
        return self.store(_recorded(events))

    def latest(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[Event]:
        """Return a page of a user's events, the newest first."""
        statement = statements.latest(size, after is not None)
        found = self._fetch(statement, {"user_id": user_id} | _after(after))
        return _page(found, size)


class AsyncUserInteractionEventRepository(AsyncQueueRepository[Event], AsyncBulkRepository):
    """The asynchronous twin of UserInteractionEventRepository."""

    row, payload = Event, statements.EVENT
    queue, table = _EVENTS, _EVENTS.table
    stored, unique = _RECORDED, ("id", "timestamp")

    async def record(self, events: Iterable[NewEvent]) -> int:
        """Record events in bulk, as `store` does; return how many. May raise DocumentError."""
        return await self.store(_recorded(events))

    async def latest(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[Event]:
        """Return a page of a user's events, the newest first."""
        statement = statements.latest(size, after is not None)
        found = await self._fetch(statement, {"user_id": user_id} | _after(after))
        return _page(found, size)
