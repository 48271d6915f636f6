"""Bulk storage: COPY, then one statement that inserts or updates."""

from collections.abc import Iterable, Sequence
from typing import Any

from pgmodern.queries.staging import count_of, raised_as_sqlalchemy_s
from pgmodern.repositories.bulk import BulkStatements
from pgmodern.repositories.repository import AsyncRepository


class AsyncBulkRepository(BulkStatements, AsyncRepository):
    """Store rows in bulk."""

    async def store(self, rows: Iterable[Sequence[Any]]) -> int:
        """Insert or update rows, given in the order of `stored`, by COPY; return how many.

        Part of the session's transaction. Raises VectorError, before that row is sent, when a
        vector does not fit the column; the caller rolls back.
        """
        await self.session.flush()
        connection = await self.session.connection(bind_arguments={"clause": self.table})
        staging = self._staging(connection.dialect.driver)
        await connection.execute(staging.create)
        with raised_as_sqlalchemy_s(staging.copy):
            await self._copy(connection, staging, rows)
        stored = await connection.execute(staging.merge)
        await connection.execute(staging.drop)
        return count_of(stored)
