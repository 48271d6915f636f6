"""Search by what a JSONB document holds, newest first."""

from typing import Any

from sqlalchemy import ColumnElement

from pgmodern.indexes.jsonb import Json, encoded
from pgmodern.queries import Page
from pgmodern.queries.documents import checked as checked_path
from pgmodern.queries.documents import is_json_path, require_json_paths
from pgmodern.queries.pages import Position
from pgmodern.repositories.documents import DocumentStatements, contains, matches, not_a_path
from pgmodern.repositories.repository import AsyncRepository
from pgmodern.repositories.rows import R


class AsyncDocumentRepository(DocumentStatements[R], AsyncRepository):
    """Find rows by their document; pages are keyset pages, `after` is the last page's."""

    async def newest(self, size: int = 20, after: Position | None = None) -> Page[R]:
        """Return a page of all rows."""
        return self._cut(await self._fetch(*self._page(size, after)), size)

    async def where(
        self,
        *where: ColumnElement[bool],
        size: int = 20,
        after: Position | None = None,
        **values: Any,
    ) -> Page[R]:
        """Return a page of the rows that meet the conditions.

        `values` are those of parameters (`bindparam`) that the conditions name.
        """
        return self._cut(await self._fetch(*self._page(size, after, where, values)), size)

    async def containing(
        self, document: Json, size: int = 20, after: Position | None = None
    ) -> Page[R]:
        """Return a page of the rows whose document contains this one; may raise DocumentError."""
        given = encoded(document)
        where = contains(self.document)
        return await self.where(where, size=size, after=after, pgmodern_document=given)

    async def matching(self, path: str, size: int = 20, after: Position | None = None) -> Page[R]:
        """Return a page of the rows in which the path finds something; may raise DocumentError.

        Raises ServerTooOld before PostgreSQL 16.
        """
        given = checked_path(path)
        connection = await self.session.connection()
        require_json_paths(connection.dialect)
        where = matches(self.document)
        found = await self.where(where, size=size, after=after, pgmodern_path=given)
        if not found.rows and not await self.session.scalar(is_json_path(path)):
            raise not_a_path(path)
        return found
