"""Search by what a JSONB document holds, newest first."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, and_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Session

from pgmodern.errors import DocumentError
from pgmodern.indexes import JsonbIndex
from pgmodern.indexes.jsonb import Json
from pgmodern.queries import Page, documents, page
from pgmodern.queries.documents import is_json_path, json_path
from pgmodern.queries.pages import Position, cut
from pgmodern.queries.statement import Statement

R = TypeVar("R")


class _Documents(Generic[R]):
    """The statements; `row` takes the columns of `payload`.

    `newest_first` are the columns that order the pages, the last of them unique.
    """

    row: ClassVar[Callable[..., Any]]
    payload: ClassVar[Statement]
    document: ClassVar[JsonbIndex]
    newest_first: ClassVar[Sequence[InstrumentedAttribute[Any]]]

    def _page(self, size: int, after: Position | None, *where: ColumnElement[bool]) -> Statement:
        order = [each.__clause_element__() for each in self.newest_first]
        if not where:
            return page(self.payload.add_columns(*order), order, after, size)
        found = documents(self.document, where, order).subquery("found")
        place = [found.c[str(column.key)] for column in order]
        chosen = page(found.select(), place, after, size).cte("page")
        same = and_(*(column == chosen.c[column.key] for column in self.document.key))
        shown = self.payload.join(chosen, same).add_columns(*order)
        return shown.order_by(*(column.desc() for column in order))

    def _cut(self, found: Iterable[Any], size: int) -> Page[R]:
        make, width = type(self).row, len(self.newest_first)
        return cut([(make(*each[:-width]), tuple(each[-width:])) for each in found], size)

    def _contains(self, document: Json) -> ColumnElement[bool]:
        return self.document.contains(document)

    def _matches(self, path: str) -> ColumnElement[bool]:
        return self.document.matches(json_path(path))


def _not_a_path(path: str) -> DocumentError:
    return DocumentError(f"{path[:100]!r} is not a JSON path.", "Write it like $.tracks[*].artist.")


class DocumentRepository(_Documents[R]):
    """Find rows by their document; pages are keyset pages, `after` is the last page's."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def newest(self, size: int = 20, after: Position | None = None) -> Page[R]:
        """Return a page of all rows."""
        return self._cut(self.session.execute(self._page(size, after)), size)

    def where(
        self, *conditions: ColumnElement[bool], size: int = 20, after: Position | None = None
    ) -> Page[R]:
        """Return a page of the rows that meet the conditions."""
        return self._cut(self.session.execute(self._page(size, after, *conditions)), size)

    def containing(self, document: Json, size: int = 20, after: Position | None = None) -> Page[R]:
        """Return a page of the rows whose document contains this one; may raise DocumentError."""
        return self.where(self._contains(document), size=size, after=after)

    def matching(self, path: str, size: int = 20, after: Position | None = None) -> Page[R]:
        """Return a page of the rows in which the path finds something; may raise DocumentError."""
        found = self.where(self._matches(path), size=size, after=after)
        if not found.rows and not self.session.scalar(is_json_path(path)):
            raise _not_a_path(path)
        return found


class AsyncDocumentRepository(_Documents[R]):
    """The asynchronous twin of DocumentRepository."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def newest(self, size: int = 20, after: Position | None = None) -> Page[R]:
        """Return a page of all rows."""
        return self._cut(await self.session.execute(self._page(size, after)), size)

    async def where(
        self, *conditions: ColumnElement[bool], size: int = 20, after: Position | None = None
    ) -> Page[R]:
        """Return a page of the rows that meet the conditions."""
        return self._cut(await self.session.execute(self._page(size, after, *conditions)), size)

    async def containing(
        self, document: Json, size: int = 20, after: Position | None = None
    ) -> Page[R]:
        """Return a page of the rows whose document contains this one; may raise DocumentError."""
        return await self.where(self._contains(document), size=size, after=after)

    async def matching(self, path: str, size: int = 20, after: Position | None = None) -> Page[R]:
        """Return a page of the rows in which the path finds something; may raise DocumentError."""
        found = await self.where(self._matches(path), size=size, after=after)
        if not found.rows and not await self.session.scalar(is_json_path(path)):
            raise _not_a_path(path)
        return found
