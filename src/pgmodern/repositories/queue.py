"""The statements of a table as a queue."""

from functools import lru_cache
from typing import ClassVar

from sqlalchemy import Update

from pgmodern.queries import Queue, acknowledge, claim
from pgmodern.queries.statement import Statement
from pgmodern.repositories.rows import R, Shown


class QueueStatements(Shown[R]):
    """The statements; `row` takes the columns of `payload`, which is of the queue's table."""

    queue: ClassVar[Queue]

    def _claim(self, batch: int) -> Statement:
        return _claim(self.payload, self.queue, batch)

    def _acknowledge(self) -> Update:
        return _acknowledge(self.queue)


# As in `search`: each statement is built once.
@lru_cache
def _claim(payload: Statement, queue: Queue, batch: int) -> Statement:
    return claim(payload, queue, batch)


@lru_cache
def _acknowledge(queue: Queue) -> Update:
    return acknowledge(queue)
