# Generated from ../asynchronous/relationships.py by `make twins`: do not edit.
"""Which fragrances belong together, and by which paths."""

import uuid
from collections.abc import Iterable

from pgmodern.queries import Reach
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.models import Base, FragranceRelationship
from pgmodern.reference.fragrance.relationships import (
    REACH,
    RELATED,
    Neighbour,
    Path,
    Relationship,
    ends,
    of_kind,
    relationship_values,
)
from pgmodern.repositories import BulkRepository


class FragranceRelationshipRepository(BulkRepository):
    """Which fragrances belong together."""

    table = Base.metadata.tables[FragranceRelationship.__tablename__]
    stored, unique = RELATED, ("fragrance_id", "related_id", "kind")

    def save(self, relationships: Iterable[Relationship]) -> int:
        """Store relationships in bulk, as `store` does; return how many."""
        return self.store(map(relationship_values, relationships))

    def strongest(
        self, fragrance_id: uuid.UUID, limit: int = 10, kind: str | None = None
    ) -> list[Neighbour]:
        """Return what belongs to a fragrance, of a kind if given, the strongest first."""
        given = {"fragrance_id": fragrance_id} | of_kind(kind)
        found = self._fetch(statements.neighbours(limit, kind is not None), given)
        return [Neighbour(*each) for each in found]

    def paths(
        self,
        fragrance_id: uuid.UUID,
        to: uuid.UUID | None = None,
        limit: int = 10,
        *,
        reach: Reach = REACH,
        threshold: float = 0.0,
        kind: str | None = None,
    ) -> list[Path]:
        """Return the strongest paths to a fragrance, or one to each that can be reached.

        None is weaker than `threshold`, or of weight 0, or comes to a fragrance twice. `reach`
        limits the hops, and the edges that are followed: the strongest of each fragrance.
        """
        given = ends(fragrance_id, to, threshold, kind)
        statement = statements.paths(reach, limit, to is not None, kind is not None)
        return [Path(*each) for each in self._fetch(statement, given)]
