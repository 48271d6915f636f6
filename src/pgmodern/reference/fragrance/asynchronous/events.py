"""What users do: recorded in bulk, learnt from in batches, in order for each user."""

import uuid
from collections.abc import Iterable

from pgmodern.queries import Page
from pgmodern.queries.pages import Position
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.events import (
    EVENTS,
    RECORDED,
    Event,
    NewEvent,
    event_page,
    place,
    recorded,
)
from pgmodern.repositories import AsyncBulkRepository, AsyncQueueRepository


class AsyncUserInteractionEventRepository(AsyncQueueRepository[Event], AsyncBulkRepository):
    """What users do: recorded in bulk, learnt from in batches, in order for each user."""

    row, payload = Event, statements.EVENT
    queue, table = EVENTS, EVENTS.table
    stored, unique = RECORDED, ("id", "timestamp")

    async def record(self, events: Iterable[NewEvent]) -> int:
        """Record events in bulk, as `store` does; return how many. May raise DocumentError."""
        return await self.store(recorded(events))

    async def latest(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[Event]:
        """Return a page of a user's events, the newest first."""
        statement = statements.latest(size, after is not None)
        found = await self._fetch(statement, {"user_id": user_id} | place(after))
        return event_page(found, size)
