"""Bulk storage: COPY, then one statement that inserts or updates."""

from collections.abc import Iterable, Sequence
from typing import Any

from pgmodern.queries.staging import Staging, count_of, raised_as_sqlalchemy_s
from pgmodern.repositories.bulk import BulkStatements
from pgmodern.repositories.repository import AsyncRepository


class AsyncBulkRepository(BulkStatements, AsyncRepository):
    """Store rows in bulk."""

    async def store(self, rows: Iterable[Sequence[Any]]) -> int:
        """Insert or update rows, given in the order of `stored`, by COPY; return how many.

        Part of the session's transaction. Raises VectorError, before that row is sent, when a
        vector does not fit the column; the caller rolls back.
        """
        staging = self._staging()
        await self.session.flush()
        await self.session.execute(staging.create)
        with raised_as_sqlalchemy_s(staging.copy):
            await self._copy(staging, rows)
        stored = await self.session.execute(staging.merge)
        await self.session.execute(staging.drop)
        return count_of(stored)

    async def _copy(self, staging: Staging, rows: Iterable[Sequence[Any]]) -> None:
        driver = await self._driver_connection()
        async with driver.cursor() as cursor, cursor.copy(staging.copy) as copy:
            for row in staging.encoded(rows):
                await copy.write_row(row)
