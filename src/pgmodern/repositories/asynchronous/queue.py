"""A table as a queue that many workers empty."""

from collections.abc import Sequence
from typing import Any

from pgmodern.queries.staging import count_of
from pgmodern.repositories.queue import QueueStatements
from pgmodern.repositories.repository import AsyncRepository
from pgmodern.repositories.rows import R


class AsyncQueueRepository(QueueStatements[R], AsyncRepository):
    """Claim rows that wait and acknowledge them, both in the one transaction of a batch."""

    async def claim(self, batch: int = 100) -> list[R]:
        """Return the next rows that wait, at most so many, and lock them until the commit.

        None may come while others hold what must be done first.
        """
        return self._rows(await self._execute(self._claim(batch)))

    async def acknowledge(self, keys: Sequence[Any]) -> int:
        """Say that these rows are done; return how many were not yet."""
        given = {"pgmodern_done": list(keys)}
        return count_of(await self._execute(self._acknowledge(), given))
