# Generated from ../asynchronous/search.py by `make twins`: do not edit.
"""Search by text: typo-tolerant, full-text, both fused, and suggestions."""

from pgmodern.repositories.repository import Repository
from pgmodern.repositories.rows import R
from pgmodern.repositories.search import SearchStatements


class SearchRepository(SearchStatements[R], Repository):
    """Search a table by text; rows come with a score in 0..1, the best first."""

    def fuzzy(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows most alike the text, however it is misspelt."""
        return self._rows(self._fetch(*self._fuzzy(text, limit)))

    def full_text(self, text: str, limit: int = 10) -> list[R]:
        """Return the rows that match words, "a phrase", or, -not; with a highlight."""
        return self._rows(self._fetch(*self._full_text(text, limit)))

    def search(self, text: str, limit: int = 10) -> list[R]:
        """Return what full text and similarity rank highest together."""
        return self._rows(self._fetch(*self._search(text, limit)))

    def suggest(self, prefix: str, limit: int = 10) -> list[R]:
        """Return the rows that start with what is typed so far, the shortest first."""
        return self._rows(self._fetch(*self._suggest(prefix, limit)))
