"""What the music application asks of its database."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import ColumnElement, DateTime, Text, Uuid, and_, bindparam, func, or_, select

from pgmodern.indexes.jsonb import Json, JsonbKeyIndex, Scalar
from pgmodern.queries import Page
from pgmodern.queries.pages import Position
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import storable
from pgmodern.reference.music.models import AIInteractionEmbedding, AILog, Archive, Artist, Track
from pgmodern.repositories import (
    AsyncDocumentRepository,
    AsyncSearchRepository,
    AsyncVectorRepository,
    DocumentRepository,
    SearchRepository,
    VectorRepository,
)

ScalarKey = Literal["genre", "mood", "source", "year"]


@dataclass(frozen=True, slots=True)
class ArtistHit:
    """An artist that a search found."""

    id: int
    name: str
    score: float
    highlight: str | None = None


@dataclass(frozen=True, slots=True)
class TrackHit:
    """A track that a search found."""

    id: int
    title: str
    artist: str
    album: str | None
    score: float
    highlight: str | None = None


@dataclass(frozen=True, slots=True)
class ArchiveHit:
    """An archived playlist; whether it holds something is yes or no, so there is no score."""

    id: uuid.UUID
    user_id: uuid.UUID
    name: str
    playlist_data: Any
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EmbeddingHit:
    """An AI log that is near to what was asked for."""

    ai_log_id: int
    user_id: uuid.UUID | None
    model_name: str
    prompt: str
    response: str | None
    score: float


@dataclass(frozen=True, slots=True)
class NewEmbedding:
    """What to store of an AI log for one model."""

    ai_log_id: int
    user_id: uuid.UUID | None
    model_name: str
    content_hash: str
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PendingLog:
    """An AI log that has no embedding for a model, or whose content has changed since."""

    id: int
    user_id: uuid.UUID | None
    content: str

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the content, in hexadecimal, as PostgreSQL computes it too."""
        return hashlib.sha256(self.content.encode()).hexdigest()


class ArtistRepository(SearchRepository[ArtistHit]):
    """Artists by name."""

    row, payload = ArtistHit, select(Artist.id, Artist.name)
    trigram, words = Artist.name_trgm, Artist.search


class AsyncArtistRepository(AsyncSearchRepository[ArtistHit]):
    """The asynchronous twin of ArtistRepository."""

    row, payload = ArtistHit, select(Artist.id, Artist.name)
    trigram, words = Artist.name_trgm, Artist.search


_TRACK = select(Track.id, Track.title, Artist.name, Track.album).join_from(
    Track, Artist, Track.artist_id == Artist.id
)


class TrackRepository(SearchRepository[TrackHit]):
    """Tracks by title; words also of the album."""

    row, payload = TrackHit, _TRACK
    trigram, words = Track.title_trgm, Track.search


class AsyncTrackRepository(AsyncSearchRepository[TrackHit]):
    """The asynchronous twin of TrackRepository."""

    row, payload = TrackHit, _TRACK
    trigram, words = Track.title_trgm, Track.search


_ARCHIVE = select(
    Archive.id, Archive.user_id, Archive.name, Archive.playlist_data, Archive.created_at
)
_NEWEST_FIRST = (Archive.created_at, Archive.id)


def _track(**keys: str | None) -> Json:
    return {"tracks": [{key: storable(value) for key, value in keys.items() if value is not None}]}


def _key(name: ScalarKey) -> JsonbKeyIndex:
    index: JsonbKeyIndex = getattr(Archive, name)
    return index


def _scalar(value: Scalar) -> Scalar:
    return storable(value) if isinstance(value, str) else value


def _between(name: ScalarKey, low: Scalar | None, high: Scalar | None) -> ColumnElement[bool]:
    bounds = (bound if bound is None else _scalar(bound) for bound in (low, high))
    return _key(name).between(*bounds)


class ArchiveRepository(DocumentRepository[ArchiveHit]):
    """Archived playlists by what they hold, newest first."""

    row, payload = ArchiveHit, _ARCHIVE
    document, newest_first = Archive.document, _NEWEST_FIRST

    def holding_artist(
        self, artist: str, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists that hold a track by exactly this artist."""
        return self.containing(_track(artist=artist), size, after)

    def holding_track(
        self, title: str, artist: str | None = None, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists that hold exactly this title, by this artist if given."""
        return self.containing(_track(title=title, artist=artist), size, after)

    def with_key(
        self, key: ScalarKey, value: Scalar, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists whose scalar key has this value."""
        return self.where(_key(key).equals(_scalar(value)), size=size, after=after)

    def with_key_between(
        self,
        key: ScalarKey,
        low: Scalar | None,
        high: Scalar | None,
        size: int = 20,
        after: Position | None = None,
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists whose scalar key is in a range, both ends included."""
        return self.where(_between(key, low, high), size=size, after=after)

    def of_user(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of a user's playlists."""
        return self.where(Archive.user_id == user_id, size=size, after=after)


class AsyncArchiveRepository(AsyncDocumentRepository[ArchiveHit]):
    """The asynchronous twin of ArchiveRepository."""

    row, payload = ArchiveHit, _ARCHIVE
    document, newest_first = Archive.document, _NEWEST_FIRST

    async def holding_artist(
        self, artist: str, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists that hold a track by exactly this artist."""
        return await self.containing(_track(artist=artist), size, after)

    async def holding_track(
        self, title: str, artist: str | None = None, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists that hold exactly this title, by this artist if given."""
        return await self.containing(_track(title=title, artist=artist), size, after)

    async def with_key(
        self, key: ScalarKey, value: Scalar, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists whose scalar key has this value."""
        return await self.where(_key(key).equals(_scalar(value)), size=size, after=after)

    async def with_key_between(
        self,
        key: ScalarKey,
        low: Scalar | None,
        high: Scalar | None,
        size: int = 20,
        after: Position | None = None,
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists whose scalar key is in a range, both ends included."""
        return await self.where(_between(key, low, high), size=size, after=after)

    async def of_user(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of a user's playlists."""
        return await self.where(Archive.user_id == user_id, size=size, after=after)


_EMBEDDING = select(
    AIInteractionEmbedding.ai_log_id,
    AIInteractionEmbedding.user_id,
    AIInteractionEmbedding.model_name,
    AILog.prompt,
    AILog.response,
).join_from(AIInteractionEmbedding, AILog, AIInteractionEmbedding.ai_log_id == AILog.id)
_STORED = ("ai_log_id", "user_id", "model_name", "content_hash", "embedding")
_UNIQUE = ("ai_log_id", "model_name")
_VALUES = attrgetter(*_STORED)


# Made once, so that their statements are built once.
_OF_USER = AIInteractionEmbedding.user_id == bindparam("user_id", type_=Uuid)
_OF_MODEL = AIInteractionEmbedding.model_name == bindparam("model_name", type_=Text)
_SINCE = AIInteractionEmbedding.created_at >= bindparam("since", type_=DateTime(timezone=True))


def _like_this(**values: Any) -> tuple[list[ColumnElement[bool]], dict[str, Any]]:
    """Return the conditions for the values that are given, and those values."""
    conditions = {"user_id": _OF_USER, "model_name": _OF_MODEL, "since": _SINCE}
    given = {name: value for name, value in values.items() if value is not None}
    return [conditions[name] for name in given], given


def _pending(model_name: str, after: int, limit: int, changed: bool) -> Statement:
    content = func.concat_ws("\n", AILog.prompt, AILog.response)
    digest = func.encode(func.sha256(func.convert_to(content, "UTF8")), "hex")
    same_model = and_(
        AIInteractionEmbedding.ai_log_id == AILog.id,
        AIInteractionEmbedding.model_name == storable(model_name),
    )
    missing = AIInteractionEmbedding.id.is_(None)
    stale = or_(missing, AIInteractionEmbedding.content_hash != digest)
    return (
        select(AILog.id, AILog.user_id, content)
        .outerjoin(AIInteractionEmbedding, same_model)
        .where(AILog.id > after, stale if changed else missing)
        .order_by(AILog.id)
        .limit(limit)
    )


def _still_there(ids: Sequence[int]) -> Statement:
    return select(AILog.id).where(AILog.id.in_(ids)).with_for_update(read=True, key_share=True)


class AIInteractionEmbeddingRepository(VectorRepository[EmbeddingHit]):
    """AI logs by what they mean."""

    row, payload = EmbeddingHit, _EMBEDDING
    vectors = AIInteractionEmbedding.embedding_hnsw
    stored, unique = _STORED, _UNIQUE

    def similar(
        self,
        vector: ArrayLike,
        k: int = 10,
        *,
        user_id: uuid.UUID | None = None,
        model_name: str | None = None,
        since: datetime | None = None,
    ) -> list[EmbeddingHit]:
        """Return the `k` nearest logs, of a user, of a model, stored since a time."""
        model_name = model_name and storable(model_name)
        where, values = _like_this(user_id=user_id, model_name=model_name, since=since)
        return self.nearest(vector, k, *where, **values)

    def save(self, embeddings: Iterable[NewEmbedding]) -> int:
        """Store embeddings in bulk, replacing those of the same log and model; return how many."""
        return self.store(map(_VALUES, embeddings))

    def pending(
        self, model_name: str, after: int = 0, limit: int = 256, *, changed: bool = False
    ) -> list[PendingLog]:
        """Return the next logs by id without an embedding, or with one of other content."""
        found = self.session.execute(_pending(model_name, after, limit, changed))
        return [PendingLog(*each) for each in found]

    def hold(self, ids: Sequence[int]) -> set[int]:
        """Return which logs still exist, and keep them from being deleted until the commit."""
        return set(self.session.scalars(_still_there(ids)))


class AsyncAIInteractionEmbeddingRepository(AsyncVectorRepository[EmbeddingHit]):
    """The asynchronous twin of AIInteractionEmbeddingRepository."""

    row, payload = EmbeddingHit, _EMBEDDING
    vectors = AIInteractionEmbedding.embedding_hnsw
    stored, unique = _STORED, _UNIQUE

    async def similar(
        self,
        vector: ArrayLike,
        k: int = 10,
        *,
        user_id: uuid.UUID | None = None,
        model_name: str | None = None,
        since: datetime | None = None,
    ) -> list[EmbeddingHit]:
        """Return the `k` nearest logs, of a user, of a model, stored since a time."""
        model_name = model_name and storable(model_name)
        where, values = _like_this(user_id=user_id, model_name=model_name, since=since)
        return await self.nearest(vector, k, *where, **values)

    async def save(self, embeddings: Iterable[NewEmbedding]) -> int:
        """Store embeddings in bulk, replacing those of the same log and model; return how many."""
        return await self.store(map(_VALUES, embeddings))

    async def pending(
        self, model_name: str, after: int = 0, limit: int = 256, *, changed: bool = False
    ) -> list[PendingLog]:
        """Return the next logs by id without an embedding, or with one of other content."""
        found = await self.session.execute(_pending(model_name, after, limit, changed))
        return [PendingLog(*each) for each in found]

    async def hold(self, ids: Sequence[int]) -> set[int]:
        """Return which logs still exist, and keep them from being deleted until the commit."""
        return set(await self.session.scalars(_still_there(ids)))
