"""Search by text: typo-tolerant, full-text, both fused, and suggestions."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.indexes import FullTextIndex, TrigramIndex
from pgmodern.queries import Leg, full_text, fuzzy, hybrid, suggest, with_payload
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import web_search

R = TypeVar("R")


class _Search(Generic[R]):
    """The statements; `row` takes the columns of `payload`, the score, and maybe a highlight."""

    row: ClassVar[Callable[..., Any]]
    payload: ClassVar[Statement]
    trigram: ClassVar[TrigramIndex]
    words: ClassVar[FullTextIndex]

    def _rows(self, found: Iterable[Any]) -> list[R]:
        make = type(self).row
        return [make(*each) for each in found]

    def _fuzzy(self, text: str, limit: int) -> Statement:
        return with_payload(self.payload, fuzzy(self.trigram, text, limit), self.trigram)

    def _full_text(self, text: str, limit: int) -> Statement:
        shown = with_payload(self.payload, full_text(self.words, text, limit), self.words)
        return shown.add_columns(self.words.highlight(self.words.query(web_search(text))))

    def _search(self, text: str, limit: int) -> Statement:
        deep = max(limit, 50)
        legs = [Leg(full_text(self.words, text, deep)), Leg(fuzzy(self.trigram, text, deep))]
        return with_payload(self.payload, hybrid(self.words, legs, limit), self.words)

    def _suggest(self, prefix: str, limit: int) -> Statement:
        return with_payload(self.payload, suggest(self.trigram, prefix, limit), self.trigram)


class SearchRepository(_Search[R]):
    """Search a table by text; rows come with a score in 0..1, the best first."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def fuzzy(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows most alike the text, however it is misspelt."""
        return self._rows(self.session.execute(self._fuzzy(text, limit)))

    def full_text(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows that match words, "a phrase", or, -not; with a highlight."""
        return self._rows(self.session.execute(self._full_text(text, limit)))

    def search(self, text: str, limit: int = 10) -> list[R]:
        """Return what full text and similarity rank highest together."""
        return self._rows(self.session.execute(self._search(text, limit)))

    def suggest(self, prefix: str, limit: int = 10) -> list[R]:
        """Return the rows that start with what is typed so far, the shortest first."""
        return self._rows(self.session.execute(self._suggest(prefix, limit)))


class AsyncSearchRepository(_Search[R]):
    """The asynchronous twin of SearchRepository."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def fuzzy(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows most alike the text, however it is misspelt."""
        return self._rows(await self.session.execute(self._fuzzy(text, limit)))

    async def full_text(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows that match words, "a phrase", or, -not; with a highlight."""
        return self._rows(await self.session.execute(self._full_text(text, limit)))

    async def search(self, text: str, limit: int = 10) -> list[R]:
        """Return what full text and similarity rank highest together."""
        return self._rows(await self.session.execute(self._search(text, limit)))

    async def suggest(self, prefix: str, limit: int = 10) -> list[R]:
        """Return the rows that start with what is typed so far, the shortest first."""
        return self._rows(await self.session.execute(self._suggest(prefix, limit)))
