"""Bulk storage: COPY, then one statement that inserts or updates."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import psycopg
from sqlalchemy import Table

from pgmodern.queries.staging import Staging, count_of, raised_as_sqlalchemy_s
from pgmodern.repositories.repository import AsyncRepository, Repository


class _Bulk:
    """`stored` are the columns of `table` that are filled, `unique` say which row is which."""

    table: ClassVar[Table]
    stored: ClassVar[Sequence[str]]
    unique: ClassVar[Sequence[str]]

    def _staging(self) -> Staging:
        return Staging(self.table, self.stored, self.unique)


class BulkRepository(_Bulk, Repository):
    """Store rows in bulk."""

    def store(self, rows: Iterable[Sequence[Any]]) -> int:
        """Insert or update rows, given in the order of `stored`, by COPY; return how many.

        Part of the session's transaction. Raises VectorError, before that row is sent, when a
        vector does not fit the column; the caller rolls back.
        """
        staging = self._staging()
        self.session.flush()
        self.session.execute(staging.create)
        driver = self.session.connection().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with raised_as_sqlalchemy_s(staging.copy):  # noqa: SIM117 (the twin cannot)
            with driver.cursor() as cursor, cursor.copy(staging.copy) as copy:
                for row in staging.encoded(rows):
                    copy.write_row(row)
        stored = self.session.execute(staging.merge)
        self.session.execute(staging.drop)
        return count_of(stored)


class AsyncBulkRepository(_Bulk, AsyncRepository):
    """The asynchronous twin of BulkRepository."""

    async def store(self, rows: Iterable[Sequence[Any]]) -> int:
        """Insert or update rows, given in the order of `stored`, by COPY; return how many.

        Part of the session's transaction. Raises VectorError, before that row is sent, when a
        vector does not fit the column; the caller rolls back.
        """
        staging = self._staging()
        await self.session.flush()
        await self.session.execute(staging.create)
        driver = (await (await self.session.connection()).get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        with raised_as_sqlalchemy_s(staging.copy):
            async with driver.cursor() as cursor, cursor.copy(staging.copy) as copy:
                for row in staging.encoded(rows):
                    await copy.write_row(row)
        stored = await self.session.execute(staging.merge)
        await self.session.execute(staging.drop)
        return count_of(stored)
