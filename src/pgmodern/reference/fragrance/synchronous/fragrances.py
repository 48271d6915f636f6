# Generated from ../asynchronous/fragrances.py by `make twins`: do not edit.
"""Fragrances by name, by words and by what is similar."""

import uuid
from collections.abc import Sequence

from numpy.typing import ArrayLike

from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.fragrances import FragranceHit, filters, similar_to
from pgmodern.reference.fragrance.models import Fragrance
from pgmodern.repositories import SearchRepository


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
        given = filters(brand, accords, min_rating, words)
        return self._rows(self._fetch(*similar_to(to, limit, recall, popular, given)))
