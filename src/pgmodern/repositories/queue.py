"""A table as a queue that many workers empty."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import Update

from pgmodern.queries import Queue, acknowledge, claim
from pgmodern.queries.staging import count_of
from pgmodern.queries.statement import Statement
from pgmodern.repositories.repository import AsyncRepository, Repository
from pgmodern.repositories.rows import R, Shown


class _Queue(Shown[R]):
    """The statements; `row` takes the columns of `payload`, which is of the queue's table."""

    queue: ClassVar[Queue]


# As in `search`: each statement is built once.
@lru_cache
def _claim(payload: Statement, queue: Queue, batch: int) -> Statement:
    return claim(payload, queue, batch)


@lru_cache
def _acknowledge(queue: Queue) -> Update:
    return acknowledge(queue)


class QueueRepository(_Queue[R], Repository):
    """Claim rows that wait and acknowledge them, both in the one transaction of a batch."""

    def claim(self, batch: int = 100) -> list[R]:
        """Return the next rows that wait, at most so many, and lock them until the commit.

        None may come while others hold what must be done first.
        """
        return self._rows(self._execute(_claim(self.payload, self.queue, batch)))

    def acknowledge(self, keys: Sequence[Any]) -> int:
        """Say that these rows are done; return how many were not yet."""
        given = {"pgmodern_done": list(keys)}
        return count_of(self._execute(_acknowledge(self.queue), given))


class AsyncQueueRepository(_Queue[R], AsyncRepository):
    """The asynchronous twin of QueueRepository."""

    async def claim(self, batch: int = 100) -> list[R]:
        """Return the next rows that wait, at most so many, and lock them until the commit.

        None may come while others hold what must be done first.
        """
        return self._rows(await self._execute(_claim(self.payload, self.queue, batch)))

    async def acknowledge(self, keys: Sequence[Any]) -> int:
        """Say that these rows are done; return how many were not yet."""
        given = {"pgmodern_done": list(keys)}
        return count_of(await self._execute(_acknowledge(self.queue), given))
