"""Which fragrances belong together, and by which paths."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pgmodern.queries import Reach
from pgmodern.queries.text import storable
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.models import Base, FragranceRelationship
from pgmodern.repositories import AsyncBulkRepository, BulkRepository


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


_RELATED = ("fragrance_id", "related_id", "kind", "weight", "confidence")
_RELATIONSHIP_VALUES = attrgetter(*_RELATED)
_REACH = Reach()


def _of_kind(kind: str | None) -> dict[str, Any]:
    return {} if kind is None else {"kind": storable(kind)}


def _ends(
    fragrance_id: uuid.UUID, to: uuid.UUID | None, threshold: float, kind: str | None
) -> dict[str, Any]:
    if not 0 <= threshold <= 1:
        raise ValueError(f"a threshold is from 0 to 1: {threshold}")
    given = {"pgmodern_start": fragrance_id, "pgmodern_threshold": threshold}
    given |= {} if to is None else {"pgmodern_end": to}
    return given | _of_kind(kind)


class FragranceRelationshipRepository(BulkRepository):
    """Which fragrances belong together."""

    table = Base.metadata.tables[FragranceRelationship.__tablename__]
    stored, unique = _RELATED, ("fragrance_id", "related_id", "kind")

    def save(self, relationships: Iterable[Relationship]) -> int:
        """Store relationships in bulk, as `store` does; return how many."""
        return self.store(map(_RELATIONSHIP_VALUES, relationships))

    def strongest(
        self, fragrance_id: uuid.UUID, limit: int = 10, kind: str | None = None
    ) -> list[Neighbour]:
        """Return what belongs to a fragrance, of a kind if given, the strongest first."""
        given = {"fragrance_id": fragrance_id} | _of_kind(kind)
        found = self._fetch(statements.neighbours(limit, kind is not None), given)
        return [Neighbour(*each) for each in found]

    def paths(
        self,
        fragrance_id: uuid.UUID,
        to: uuid.UUID | None = None,
        limit: int = 10,
        *,
        reach: Reach = _REACH,
        threshold: float = 0.0,
        kind: str | None = None,
    ) -> list[Path]:
        """Return the strongest paths to a fragrance, or one to each that can be reached.

        None is weaker than `threshold`, or of weight 0, or comes to a fragrance twice. `reach`
        limits the hops, and the edges that are followed: the strongest of each fragrance.
        """
        given = _ends(fragrance_id, to, threshold, kind)
        statement = statements.paths(reach, limit, to is not None, kind is not None)
        return [Path(*each) for each in self._fetch(statement, given)]


class AsyncFragranceRelationshipRepository(AsyncBulkRepository):
    """The asynchronous twin of FragranceRelationshipRepository."""

    table = Base.metadata.tables[FragranceRelationship.__tablename__]
    stored, unique = _RELATED, ("fragrance_id", "related_id", "kind")

    async def save(self, relationships: Iterable[Relationship]) -> int:
        """Store relationships in bulk, as `store` does; return how many."""
        return await self.store(map(_RELATIONSHIP_VALUES, relationships))

    async def strongest(
        self, fragrance_id: uuid.UUID, limit: int = 10, kind: str | None = None
    ) -> list[Neighbour]:
        """Return what belongs to a fragrance, of a kind if given, the strongest first."""
        given = {"fragrance_id": fragrance_id} | _of_kind(kind)
        found = await self._fetch(statements.neighbours(limit, kind is not None), given)
        return [Neighbour(*each) for each in found]

    async def paths(
        self,
        fragrance_id: uuid.UUID,
        to: uuid.UUID | None = None,
        limit: int = 10,
        *,
        reach: Reach = _REACH,
        threshold: float = 0.0,
        kind: str | None = None,
    ) -> list[Path]:
        """Return the strongest paths to a fragrance, or one to each that can be reached.

        None is weaker than `threshold`, or of weight 0, or comes to a fragrance twice. `reach`
        limits the hops, and the edges that are followed: the strongest of each fragrance.
        """
        given = _ends(fragrance_id, to, threshold, kind)
        statement = statements.paths(reach, limit, to is not None, kind is not None)
        return [Path(*each) for each in await self._fetch(statement, given)]
