"""How many rows there are, at once."""

from typing import ClassVar

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.queries.counts import Count, count_of, estimated, settled
from pgmodern.queries.explain import Explain
from pgmodern.queries.statement import Statement


class _Counts:
    """`counted` selects the rows that are counted when no condition is given."""

    counted: ClassVar[Statement]


class CountRepository(_Counts):
    """Count rows by the planner's estimate, and exactly where they are few."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def estimated_count(self, *where: ColumnElement[bool], exact_below: int = 1_000) -> Count:
        """Return how many rows meet the conditions; fewer than `exact_below` are counted.

        Two statements, as PostgreSQL gives an estimate only as the result of EXPLAIN: that, and
        one for the age of the statistics or the exact count.
        """
        counted = self.counted.where(*where)
        estimate = estimated(self.session.scalar(Explain(counted, verbose=True)))
        found = self.session.execute(settled(counted, estimate, exact_below)).one()
        return count_of(found, estimate, exact_below)


class AsyncCountRepository(_Counts):
    """The asynchronous twin of CountRepository."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def estimated_count(self, *where: ColumnElement[bool], exact_below: int = 1_000) -> Count:
        """Return how many rows meet the conditions; fewer than `exact_below` are counted.

        Two statements, as PostgreSQL gives an estimate only as the result of EXPLAIN: that, and
        one for the age of the statistics or the exact count.
        """
        counted = self.counted.where(*where)
        estimate = estimated(await self.session.scalar(Explain(counted, verbose=True)))
        found = (await self.session.execute(settled(counted, estimate, exact_below))).one()
        return count_of(found, estimate, exact_below)
