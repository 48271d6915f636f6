"""A fragrance that was found, and how it is asked for."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from pgmodern.indexes.jsonb import encoded
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import storable, web_search
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.vectors import unit


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


def filters(
    brand: str | None, accords: Sequence[str], min_rating: float | None, words: str | None
) -> dict[str, Any]:
    """Return the values of the filters that are given."""
    given = {
        "brand": brand and storable(brand),
        "accords": encoded([storable(each) for each in accords]) if accords else None,
        "min_rating": min_rating,
        "words": words and web_search(words),
    }
    return {name: value for name, value in given.items() if value is not None}


def similar_to(
    to: uuid.UUID | ArrayLike, limit: int, recall: float, popular: bool, given: dict[str, Any]
) -> tuple[Statement, dict[str, Any]]:
    """Return the statement for what is similar, and its values beside those of the filters."""
    if isinstance(to, uuid.UUID):
        sought: dict[str, Any] = {"fragrance_id": to}
    else:
        sought = {"vector": unit(to)}
    known = "fragrance_id" in sought
    kept = statements.oversampling(recall)
    statement = statements.similar(limit, kept, *given, to_fragrance=known, popular=popular)
    return statement, given | sought
