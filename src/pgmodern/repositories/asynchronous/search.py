"""Search by text: typo-tolerant, full-text, both fused, and suggestions."""

from pgmodern.repositories.repository import AsyncRepository
from pgmodern.repositories.rows import R
from pgmodern.repositories.search import SearchStatements


class AsyncSearchRepository(SearchStatements[R], AsyncRepository):
    """Search a table by text; rows come with a score in 0..1, the best first."""

    async def fuzzy(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows most alike the text, however it is misspelt."""
        return self._rows(await self._fetch(*self._fuzzy(text, limit)))

    async def full_text(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows that match words, "a phrase", or, -not; with a highlight."""
        return self._rows(await self._fetch(*self._full_text(text, limit)))

    async def search(self, text: str, limit: int = 10) -> list[R]:
        """Return what full text and similarity rank highest together."""
        return self._rows(await self._fetch(*self._search(text, limit)))

    async def suggest(self, prefix: str, limit: int = 10) -> list[R]:
        """Return the rows that start with what is typed so far, the shortest first."""
        return self._rows(await self._fetch(*self._suggest(prefix, limit)))
