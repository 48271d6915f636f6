# Generated from ../asynchronous/bulk.py by `make twins`: do not edit.
"""Bulk storage: COPY, then one statement that inserts or updates."""

from collections.abc import Iterable, Sequence
from typing import Any

from pgmodern.queries.staging import Staging, count_of, raised_as_sqlalchemy_s
from pgmodern.repositories.bulk import BulkStatements
from pgmodern.repositories.repository import Repository


class BulkRepository(BulkStatements, Repository):
    """Store rows in bulk."""

    def store(self, rows: Iterable[Sequence[Any]]) -> int:
        """Insert or update rows, given in the order of `stored`, by COPY; return how many.

        Part of the session's transaction. Raises VectorError, before that row is sent, when a
        vector does not fit the column; the caller rolls back.
        """
        staging = self._staging()
        self.session.flush()
        self.session.execute(staging.create)
        with raised_as_sqlalchemy_s(staging.copy):
            self._copy(staging, rows)
        stored = self.session.execute(staging.merge)
        self.session.execute(staging.drop)
        return count_of(stored)

    def _copy(self, staging: Staging, rows: Iterable[Sequence[Any]]) -> None:
        driver = self._driver_connection()
        with driver.cursor() as cursor, cursor.copy(staging.copy) as copy:
            for row in staging.encoded(rows):
                copy.write_row(row)
