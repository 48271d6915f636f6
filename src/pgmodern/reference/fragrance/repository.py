"""What the fragrance application asks of its database."""

import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.errors import VectorError
from pgmodern.indexes.jsonb import Json, encoded
from pgmodern.queries import Page, Queue, Reach
from pgmodern.queries.pages import Position, checked, cut
from pgmodern.queries.staging import count_of
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import storable, web_search
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.bandit import Belief, drawn
from pgmodern.reference.fragrance.models import (
    EMBEDDING_DIMENSIONS,
    Base,
    Fragrance,
    FragranceEmbedding,
    FragranceEmbeddingVersion,
    FragranceRelationship,
    UserInteractionEvent,
)
from pgmodern.reference.fragrance.statements import NEWEST_FIRST
from pgmodern.repositories import (
    AsyncBulkRepository,
    AsyncQueueRepository,
    AsyncSearchRepository,
    BulkRepository,
    QueueRepository,
    SearchRepository,
)
from pgmodern.types import Vector


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


@dataclass(frozen=True, slots=True)
class Event:
    """What a user did."""

    id: uuid.UUID
    user_id: uuid.UUID
    fragrance_id: uuid.UUID | None
    event_type: str
    details: Any
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What to record of what a user did; recorded again under the same id, it is there once."""

    user_id: uuid.UUID
    event_type: str
    fragrance_id: uuid.UUID | None = None
    details: Json = field(default_factory=dict)
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: uuid.UUID = field(default_factory=uuid.uuid4)


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


_VECTOR = Vector(EMBEDDING_DIMENSIONS)


def _unit(vector: ArrayLike) -> NDArray[np.float32]:
    """Return a vector of length 1, all of whose numbers a halfvec holds."""
    whole = _VECTOR.check(vector).astype(np.float64)
    length = np.linalg.norm(whole)
    if not length:
        raise VectorError(
            "The vector has length zero, so no direction.", "Embed something that is not empty."
        )
    unit: NDArray[np.float32] = (whole / length).astype(np.float32)
    return unit


def _similar(
    to: uuid.UUID | ArrayLike, limit: int, recall: float, popular: bool, given: dict[str, Any]
) -> Statement:
    if isinstance(to, uuid.UUID):
        sought: dict[str, Any] = {"fragrance_id": to}
    else:
        sought = {"vector": _unit(to)}
    known = "fragrance_id" in sought
    kept = statements.oversampling(recall)
    statement = statements.similar(limit, kept, *given, to_fragrance=known, popular=popular)
    return statement.params(given | sought)


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
        return self._rows(self.session.execute(_similar(to, limit, recall, popular, given)))


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
        return self._rows(await self.session.execute(_similar(to, limit, recall, popular, given)))


Embedded = tuple[uuid.UUID, ArrayLike]


def _of_version(version: int, embeddings: Iterable[Embedded]) -> Iterator[tuple[Any, ...]]:
    return ((fragrance_id, version, _unit(vector)) for fragrance_id, vector in embeddings)


class FragranceEmbeddingRepository(BulkRepository):
    """Versions of the embeddings: filled side by side, switched at once, removed in batches."""

    table = Base.metadata.tables[FragranceEmbedding.__tablename__]
    stored, unique = ("fragrance_id", "version", "embedding"), ("fragrance_id", "version")

    def add_version(self, version: int, model_name: str) -> None:
        """Make a version that can be filled; it is not read before `switch`."""
        values = {"version": version, "model_name": model_name}
        self.session.execute(insert(FragranceEmbeddingVersion), [values])

    def save(self, version: int, embeddings: Iterable[Embedded]) -> int:
        """Store a version's embeddings of fragrances in bulk, as `store` does; return how many."""
        return self.store(_of_version(version, embeddings))

    def pending(
        self, version: int, after: uuid.UUID | None = None, limit: int = 256
    ) -> list[uuid.UUID]:
        """Return the next fragrances by id that a version has not embedded."""
        given = {"of_version": version, "after": after}
        return list(self.session.scalars(statements.without_embedding(limit), given))

    def switch(self, version: int) -> bool:
        """Have every search read this version from the commit on; whether it can be read."""
        given = {"of_version": version}
        return count_of(self.session.execute(statements.switch(), given)) > 0

    def retire(self, version: int) -> bool:
        """Have nothing written to a version any more; False for the current, and for none."""
        given = {"of_version": version}
        return count_of(self.session.execute(statements.retire(), given)) > 0

    def remove(
        self, version: int, after: uuid.UUID | None = None, batch: int = 1_000
    ) -> uuid.UUID | None:
        """Delete the next embeddings of a version; return the last one's, None at the end."""
        given = {"of_version": version, "after": after}
        return self.session.scalar(statements.remove(batch), given)

    def forget(self, version: int) -> bool:
        """Delete a retired version that has no embeddings left; whether there was one."""
        given = {"of_version": version}
        return count_of(self.session.execute(statements.forget(), given)) > 0


class AsyncFragranceEmbeddingRepository(AsyncBulkRepository):
    """The asynchronous twin of FragranceEmbeddingRepository."""

    table = Base.metadata.tables[FragranceEmbedding.__tablename__]
    stored, unique = ("fragrance_id", "version", "embedding"), ("fragrance_id", "version")

    async def add_version(self, version: int, model_name: str) -> None:
        """Make a version that can be filled; it is not read before `switch`."""
        values = {"version": version, "model_name": model_name}
        await self.session.execute(insert(FragranceEmbeddingVersion), [values])

    async def save(self, version: int, embeddings: Iterable[Embedded]) -> int:
        """Store a version's embeddings of fragrances in bulk, as `store` does; return how many."""
        return await self.store(_of_version(version, embeddings))

    async def pending(
        self, version: int, after: uuid.UUID | None = None, limit: int = 256
    ) -> list[uuid.UUID]:
        """Return the next fragrances by id that a version has not embedded."""
        given = {"of_version": version, "after": after}
        return list(await self.session.scalars(statements.without_embedding(limit), given))

    async def switch(self, version: int) -> bool:
        """Have every search read this version from the commit on; whether it can be read."""
        given = {"of_version": version}
        return count_of(await self.session.execute(statements.switch(), given)) > 0

    async def retire(self, version: int) -> bool:
        """Have nothing written to a version any more; False for the current, and for none."""
        given = {"of_version": version}
        return count_of(await self.session.execute(statements.retire(), given)) > 0

    async def remove(
        self, version: int, after: uuid.UUID | None = None, batch: int = 1_000
    ) -> uuid.UUID | None:
        """Delete the next embeddings of a version; return the last one's, None at the end."""
        given = {"of_version": version, "after": after}
        return await self.session.scalar(statements.remove(batch), given)

    async def forget(self, version: int) -> bool:
        """Delete a retired version that has no embeddings left; whether there was one."""
        given = {"of_version": version}
        return count_of(await self.session.execute(statements.forget(), given)) > 0


_EVENTS = Queue(
    Base.metadata.tables[UserInteractionEvent.__tablename__],
    done="processed_at",
    order=("timestamp", "id"),
    within="user_id",
)
_RECORDED = ("id", "user_id", "fragrance_id", "event_type", "details", "timestamp")
_EVENT_VALUES = attrgetter(*_RECORDED)


def _recorded(events: Iterable[NewEvent]) -> Iterator[tuple[Any, ...]]:
    for event in events:
        encoded(event.details)  # refuses what JSONB cannot hold
        yield _EVENT_VALUES(event)


def _after(after: Position | None) -> dict[str, Any]:
    if after is None:
        return {}
    columns = [each.__clause_element__() for each in NEWEST_FIRST]
    return dict(zip(("after_timestamp", "after_id"), checked(after, columns), strict=True))


def _page(found: Iterable[Any], size: int) -> Page[Event]:
    events = [Event(*each) for each in found]
    return cut([(event, (event.timestamp, event.id)) for event in events], size)


class UserInteractionEventRepository(QueueRepository[Event], BulkRepository):
    """What users do: recorded in bulk, learnt from in batches, in order for each user."""

    row, payload = Event, statements.EVENT
    queue, table = _EVENTS, _EVENTS.table
    stored, unique = _RECORDED, ("id", "timestamp")

    def record(self, events: Iterable[NewEvent]) -> int:
        """Record events in bulk, as `store` does; return how many. May raise DocumentError."""
        return self.store(_recorded(events))

    def latest(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[Event]:
        """Return a page of a user's events, the newest first."""
        statement = statements.latest(size, after is not None)
        found = self.session.execute(statement, {"user_id": user_id} | _after(after))
        return _page(found, size)


class AsyncUserInteractionEventRepository(AsyncQueueRepository[Event], AsyncBulkRepository):
    """The asynchronous twin of UserInteractionEventRepository."""

    row, payload = Event, statements.EVENT
    queue, table = _EVENTS, _EVENTS.table
    stored, unique = _RECORDED, ("id", "timestamp")

    async def record(self, events: Iterable[NewEvent]) -> int:
        """Record events in bulk, as `store` does; return how many. May raise DocumentError."""
        return await self.store(_recorded(events))

    async def latest(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[Event]:
        """Return a page of a user's events, the newest first."""
        statement = statements.latest(size, after is not None)
        found = await self.session.execute(statement, {"user_id": user_id} | _after(after))
        return _page(found, size)


_RELATED = ("fragrance_id", "related_id", "kind", "weight", "confidence")
_RELATIONSHIP_VALUES = attrgetter(*_RELATED)


_REACH = Reach()


def _ends(
    fragrance_id: uuid.UUID, to: uuid.UUID | None, threshold: float, kind: str | None
) -> dict[str, Any]:
    if not 0 <= threshold <= 1:
        raise ValueError(f"a threshold is from 0 to 1: {threshold}")
    given = {"pgmodern_start": fragrance_id, "pgmodern_threshold": threshold}
    given |= {} if to is None else {"pgmodern_end": to}
    return given | ({} if kind is None else {"kind": storable(kind)})


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
        given = {"fragrance_id": fragrance_id} | ({} if kind is None else {"kind": storable(kind)})
        found = self.session.execute(statements.neighbours(limit, kind is not None), given)
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
        return [Path(*each) for each in self.session.execute(statement, given)]


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
        given = {"fragrance_id": fragrance_id} | ({} if kind is None else {"kind": storable(kind)})
        found = await self.session.execute(statements.neighbours(limit, kind is not None), given)
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
        return [Path(*each) for each in await self.session.execute(statement, given)]


def _known(found: Iterable[Any]) -> dict[str, Belief]:
    return {belief.algorithm: belief for belief in (Belief(*each) for each in found)}


def _rewarded(context: str, algorithm: str, successes: float, failures: float) -> dict[str, Any]:
    for number in (successes, failures):
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"a reward is finite and at least 0: {number}")
    given = {"context": storable(context), "algorithm": storable(algorithm)}
    return {**given, "successes": successes, "failures": failures}


class AlgorithmPerformanceRepository:
    """A bandit: which algorithm to recommend by, learnt from what pleased."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def beliefs(self, context: str = "default") -> dict[str, Belief]:
        """Return what is known of each algorithm in a context."""
        given = {"context": storable(context)}
        return _known(self.session.execute(statements.beliefs(), given))

    def choose(
        self,
        context: str,
        algorithms: Sequence[str],
        chance: np.random.Generator | None = None,
    ) -> str:
        """Return one of the algorithms by Thompson sampling: the better known, the likelier."""
        return drawn(self.beliefs(context), algorithms, chance)

    def reward(
        self, context: str, algorithm: str, successes: float = 1.0, failures: float = 0.0
    ) -> Belief:
        """Add what pleased and what did not, atomically; return what is known then."""
        given = _rewarded(context, algorithm, successes, failures)
        return Belief(*self.session.execute(statements.reward(), given).one())


class AsyncAlgorithmPerformanceRepository:
    """The asynchronous twin of AlgorithmPerformanceRepository."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def beliefs(self, context: str = "default") -> dict[str, Belief]:
        """Return what is known of each algorithm in a context."""
        given = {"context": storable(context)}
        return _known(await self.session.execute(statements.beliefs(), given))

    async def choose(
        self,
        context: str,
        algorithms: Sequence[str],
        chance: np.random.Generator | None = None,
    ) -> str:
        """Return one of the algorithms by Thompson sampling: the better known, the likelier."""
        return drawn(await self.beliefs(context), algorithms, chance)

    async def reward(
        self, context: str, algorithm: str, successes: float = 1.0, failures: float = 0.0
    ) -> Belief:
        """Add what pleased and what did not, atomically; return what is known then."""
        given = _rewarded(context, algorithm, successes, failures)
        return Belief(*(await self.session.execute(statements.reward(), given)).one())
