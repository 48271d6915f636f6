"""Search by text: typo-tolerant, full-text, both fused, and suggestions."""

from functools import lru_cache
from typing import ClassVar

from sqlalchemy import Text, bindparam
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.indexes import FullTextIndex, TrigramIndex
from pgmodern.queries import Leg, full_text, fuzzy, hybrid, suggest, with_payload
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import cleaned, web_search
from pgmodern.repositories.rows import R, Shown


class _Search(Shown[R]):
    """The statements; `row` takes the columns of `payload`, the score, and maybe a highlight."""

    trigram: ClassVar[TrigramIndex]
    words: ClassVar[FullTextIndex]

    def _fuzzy(self, text: str, limit: int) -> Statement:
        statement = _fuzzy(self.payload, self.trigram, limit)
        return statement.params(pgmodern_text=cleaned(text))

    def _full_text(self, text: str, limit: int) -> Statement:
        statement = _full_text(self.payload, self.words, limit)
        return statement.params(pgmodern_words=web_search(text))

    def _search(self, text: str, limit: int) -> Statement:
        statement = _search(self.payload, self.words, self.trigram, limit)
        return statement.params(pgmodern_text=cleaned(text), pgmodern_words=web_search(text))

    def _suggest(self, prefix: str, limit: int) -> Statement:
        statement = _suggest(self.payload, self.trigram, limit)
        return statement.params(pgmodern_text=cleaned(prefix))


# To build a statement can take longer than PostgreSQL takes to answer it. So each is built once,
# with parameters whose values come with the call.
_TEXT, _WORDS = bindparam("pgmodern_text", type_=Text), bindparam("pgmodern_words", type_=Text)


@lru_cache
def _fuzzy(payload: Statement, trigram: TrigramIndex, limit: int) -> Statement:
    return with_payload(payload, fuzzy(trigram, _TEXT, limit), trigram)


@lru_cache
def _full_text(payload: Statement, words: FullTextIndex, limit: int) -> Statement:
    shown = with_payload(payload, full_text(words, _WORDS, limit), words)
    return shown.add_columns(words.highlight(words.query(_WORDS)))


@lru_cache
def _search(
    payload: Statement, words: FullTextIndex, trigram: TrigramIndex, limit: int
) -> Statement:
    deep = max(limit, 50)
    legs = [Leg(full_text(words, _WORDS, deep)), Leg(fuzzy(trigram, _TEXT, deep))]
    return with_payload(payload, hybrid(words, legs, limit), words)


@lru_cache
def _suggest(payload: Statement, trigram: TrigramIndex, limit: int) -> Statement:
    return with_payload(payload, suggest(trigram, _TEXT, limit), trigram)


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
