# Generated from ../asynchronous/queue.py by `make twins`: do not edit.
"""A table as a queue that many workers empty."""

from collections.abc import Sequence
from typing import Any

from pgmodern.queries.staging import count_of
from pgmodern.repositories.queue import QueueStatements
from pgmodern.repositories.repository import Repository
from pgmodern.repositories.rows import R


class QueueRepository(QueueStatements[R], Repository):
    """Claim rows that wait and acknowledge them, both in the one transaction of a batch."""

    def claim(self, batch: int = 100) -> list[R]:
        """Return the next rows that wait, at most so many, and lock them until the commit.

        None may come while others hold what must be done first.
        """
        return self._rows(self._execute(self._claim(batch)))

    def acknowledge(self, keys: Sequence[Any]) -> int:
        """Say that these rows are done; return how many were not yet."""
        given = {"pgmodern_done": list(keys)}
        return count_of(self._execute(self._acknowledge(), given))
