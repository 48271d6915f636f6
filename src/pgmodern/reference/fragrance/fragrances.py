"""Fragrances by name, by words and by what is similar."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from pgmodern.indexes.jsonb import encoded
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import storable, web_search
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.models import Fragrance
from pgmodern.reference.fragrance.vectors import unit
from pgmodern.repositories import AsyncSearchRepository, SearchRepository


@dataclass(frozen=True, slots=True)
class FragranceHit:
    """A fragrance that a search found."""

    id: uuid.UUID
    name: str
    brand: str
    rating_value: float | None
    rating_count: int
    score: float
    highlight: str | None = None


def _filters(
    brand: str | None, accords: Sequence[str], min_rating: float | None, words: str | None
) -> dict[str, Any]:
    given = {
        "brand": brand and storable(brand),
        "accords": encoded([storable(each) for each in accords]) if accords else None,
        "min_rating": min_rating,
        "words": words and web_search(words),
    }
    return {name: value for name, value in given.items() if value is not None}


def _similar(
    to: uuid.UUID | ArrayLike, limit: int, recall: float, popular: bool, given: dict[str, Any]
) -> tuple[Statement, dict[str, Any]]:
    if isinstance(to, uuid.UUID):
        sought: dict[str, Any] = {"fragrance_id": to}
    else:
        sought = {"vector": unit(to)}
    known = "fragrance_id" in sought
    kept = statements.oversampling(recall)
    statement = statements.similar(limit, kept, *given, to_fragrance=known, popular=popular)
    return statement, given | sought


class FragranceRepository(SearchRepository[FragranceHit]):
    """Fragrances by name, by words of their description, and by what is similar."""

    row, payload = FragranceHit, statements.FRAGRANCE
    trigram, words = Fragrance.name_trgm, Fragrance.search

    def similar(
        self,
        to: uuid.UUID | ArrayLike,
        limit: int = 10,
        *,
        recall: float = 0.95,
        popular: bool = False,
        brand: str | None = None,
        accords: Sequence[str] = (),
        min_rating: float | None = None,
        words: str | None = None,
    ) -> list[FragranceHit]:
        """Return the fragrances most similar to one (by its id), or nearest to a vector.

        `limit` come whenever so many pass the filters; all of the accords must be there. Raises
        VectorError when the vector is of length zero or does not fit the column.
        """
        given = _filters(brand, accords, min_rating, words)
        return self._rows(self._fetch(*_similar(to, limit, recall, popular, given)))


class AsyncFragranceRepository(AsyncSearchRepository[FragranceHit]):
    """The asynchronous twin of FragranceRepository."""

    row, payload = FragranceHit, statements.FRAGRANCE
    trigram, words = Fragrance.name_trgm, Fragrance.search

    async def similar(
        self,
        to: uuid.UUID | ArrayLike,
        limit: int = 10,
        *,
        recall: float = 0.95,
        popular: bool = False,
        brand: str | None = None,
        accords: Sequence[str] = (),
        min_rating: float | None = None,
        words: str | None = None,
    ) -> list[FragranceHit]:
        """Return the fragrances most similar to one (by its id), or nearest to a vector.

        `limit` come whenever so many pass the filters; all of the accords must be there. Raises
        VectorError when the vector is of length zero or does not fit the column.
        """
        given = _filters(brand, accords, min_rating, words)
        return self._rows(await self._fetch(*_similar(to, limit, recall, popular, given)))
