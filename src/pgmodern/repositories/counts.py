"""How many rows there are, at once."""

from typing import ClassVar

from sqlalchemy import ColumnElement

from pgmodern.queries.counts import Count, count_of, estimated, settled
from pgmodern.queries.explain import Explain
from pgmodern.queries.statement import Statement
from pgmodern.repositories.repository import AsyncRepository, Repository


class _Counts:
    """`counted` selects the rows that are counted when no condition is given."""

    counted: ClassVar[Statement]


class CountRepository(_Counts, Repository):
    """Count rows by the planner's estimate, and exactly where they are few."""

    def estimated_count(self, *where: ColumnElement[bool], exact_below: int = 1_000) -> Count:
        """Return how many rows meet the conditions; fewer than `exact_below` are counted.

        Two statements, as PostgreSQL gives an estimate only as the result of EXPLAIN: that, and
        one for the age of the statistics or the exact count.
        """
        counted = self.counted.where(*where)
        estimate = estimated(self._execute(Explain(counted, verbose=True)).scalar())
        found = self._execute(settled(counted, estimate, exact_below)).one()
        return count_of(found, estimate, exact_below)


class AsyncCountRepository(_Counts, AsyncRepository):
    """The asynchronous twin of CountRepository."""

    async def estimated_count(self, *where: ColumnElement[bool], exact_below: int = 1_000) -> Count:
        """Return how many rows meet the conditions; fewer than `exact_below` are counted.

        Two statements, as PostgreSQL gives an estimate only as the result of EXPLAIN: that, and
        one for the age of the statistics or the exact count.
        """
        counted = self.counted.where(*where)
        estimate = estimated((await self._execute(Explain(counted, verbose=True))).scalar())
        found = (await self._execute(settled(counted, estimate, exact_below))).one()
        return count_of(found, estimate, exact_below)
