"""Relationships of fragrances, the paths along them, and how these are asked for."""

import uuid
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pgmodern.queries import Reach
from pgmodern.queries.text import storable


@dataclass(frozen=True, slots=True)
class Relationship:
    """That a fragrance belongs to another, how strongly and how surely, both in 0..1."""

    fragrance_id: uuid.UUID
    related_id: uuid.UUID
    kind: str
    weight: float
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A fragrance that belongs to the one asked about."""

    id: uuid.UUID
    name: str
    brand: str
    kind: str
    weight: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Path:
    """A fragrance that others lead to; `weight` is the product of their weights.

    `fragrances` are those on the way, the first and the last included, `kinds` what lies between.
    """

    id: uuid.UUID
    name: str
    brand: str
    weight: float
    fragrances: list[uuid.UUID]
    kinds: list[str]


RELATED = ("fragrance_id", "related_id", "kind", "weight", "confidence")
relationship_values = attrgetter(*RELATED)
REACH = Reach()


def of_kind(kind: str | None) -> dict[str, Any]:
    """Return the value of the filter by kind, if one is given."""
    return {} if kind is None else {"kind": storable(kind)}


def ends(
    fragrance_id: uuid.UUID, to: uuid.UUID | None, threshold: float, kind: str | None
) -> dict[str, Any]:
    """Return the values of a search for paths; raises ValueError for the threshold."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"a threshold is from 0 to 1: {threshold}")
    given = {"pgmodern_start": fragrance_id, "pgmodern_threshold": threshold}
    given |= {} if to is None else {"pgmodern_end": to}
    return given | of_kind(kind)
