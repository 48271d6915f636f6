"""What the music application asks of its database."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from numpy.typing import ArrayLike

from pgmodern.indexes.jsonb import Scalar
from pgmodern.queries import Page
from pgmodern.queries.pages import Position
from pgmodern.queries.text import storable
from pgmodern.reference.music import statements
from pgmodern.reference.music.models import AIInteractionEmbedding, Archive, Artist, Track
from pgmodern.reference.music.rows import (
    STORED,
    ArchiveHit,
    ArtistHit,
    EmbeddingHit,
    NewEmbedding,
    PendingLog,
    TrackHit,
    stored_values,
)
from pgmodern.reference.music.statements import ScalarKey
from pgmodern.repositories import (
    AsyncDocumentRepository,
    AsyncSearchRepository,
    AsyncVectorRepository,
)


class AsyncArtistRepository(AsyncSearchRepository[ArtistHit]):
    """Artists by name."""

    row, payload = ArtistHit, statements.ARTIST
    trigram, words = Artist.name_trgm, Artist.search


class AsyncTrackRepository(AsyncSearchRepository[TrackHit]):
    """Tracks by title; words also of the album."""

    row, payload = TrackHit, statements.TRACK
    trigram, words = Track.title_trgm, Track.search


class AsyncArchiveRepository(AsyncDocumentRepository[ArchiveHit]):
    """Archived playlists by what they hold, newest first."""

    row, payload = ArchiveHit, statements.ARCHIVE
    document, newest_first = Archive.document, (Archive.created_at, Archive.id)

    async def holding_artist(
        self, artist: str, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists that hold a track by exactly this artist."""
        return await self.containing(statements.holding(artist=artist), size, after)

    async def holding_track(
        self, title: str, artist: str | None = None, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists that hold exactly this title, by this artist if given."""
        return await self.containing(statements.holding(title=title, artist=artist), size, after)

    async def with_key(
        self, key: ScalarKey, value: Scalar, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists whose scalar key has this value."""
        return await self.where(statements.equal(key, value), size=size, after=after)

    async def with_key_between(
        self,
        key: ScalarKey,
        low: Scalar | None,
        high: Scalar | None,
        size: int = 20,
        after: Position | None = None,
    ) -> Page[ArchiveHit]:
        """Return a page of the playlists whose scalar key is in a range, both ends included."""
        return await self.where(statements.between(key, low, high), size=size, after=after)

    async def of_user(
        self, user_id: uuid.UUID, size: int = 20, after: Position | None = None
    ) -> Page[ArchiveHit]:
        """Return a page of a user's playlists."""
        return await self.where(Archive.user_id == user_id, size=size, after=after)


class AsyncAIInteractionEmbeddingRepository(AsyncVectorRepository[EmbeddingHit]):
    """AI logs by what they mean."""

    row, payload = EmbeddingHit, statements.EMBEDDING
    vectors = AIInteractionEmbedding.embedding_hnsw
    stored, unique = STORED, ("ai_log_id", "model_name")

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
        where, values = statements.like_this(user_id=user_id, model_name=model_name, since=since)
        return await self.nearest(vector, k, *where, **values)

    async def save(self, embeddings: Iterable[NewEmbedding]) -> int:
        """Store embeddings in bulk, replacing those of the same log and model; return how many."""
        return await self.store(map(stored_values, embeddings))

    async def pending(
        self, model_name: str, after: int = 0, limit: int = 256, *, changed: bool = False
    ) -> list[PendingLog]:
        """Return the next logs by id without an embedding, or with one of other content."""
        found = await self.session.execute(statements.pending(model_name, after, limit, changed))
        return [PendingLog(*each) for each in found]

    async def hold(self, ids: Sequence[int]) -> set[int]:
        """Return which logs still exist, and keep them from being deleted until the commit."""
        return set(await self.session.scalars(statements.still_there(ids)))
