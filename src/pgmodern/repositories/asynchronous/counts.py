"""How many rows there are, at once."""

from sqlalchemy import ColumnElement

from pgmodern.queries.counts import Count, count_of, estimated, settled
from pgmodern.queries.explain import Explain
from pgmodern.repositories.counts import CountStatements
from pgmodern.repositories.repository import AsyncRepository


class AsyncCountRepository(CountStatements, AsyncRepository):
    """Count rows by the planner's estimate, and exactly where they are few."""

    async def estimated_count(self, *where: ColumnElement[bool], exact_below: int = 1_000) -> Count:
        """Return how many rows meet the conditions; fewer than `exact_below` are counted.

        Two statements, as PostgreSQL gives an estimate only as the result of EXPLAIN: that, and
        one for the age of the statistics or the exact count.
        """
        counted = self.counted.where(*where)
        explained = await self._execute(Explain(counted, verbose=True))
        estimate = estimated(explained.scalar())
        found = await self._execute(settled(counted, estimate, exact_below))
        return count_of(found.one(), estimate, exact_below)
