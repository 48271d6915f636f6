"""What the audio application asks of its database."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.embedders import AsyncEmbedder, Embedder, padded
from pgmodern.errors import EmbedderError
from pgmodern.queries.text import cleaned, storable
from pgmodern.reference.audio import statements
from pgmodern.reference.audio.models import EMBEDDING_DIMENSIONS, SampleEmbedding
from pgmodern.repositories import AsyncVectorRepository, VectorRepository

THRESHOLD = 0.7
E = TypeVar("E", Embedder, AsyncEmbedder)


@dataclass(frozen=True, slots=True)
class SampleHit:
    """A sample that a search found.

    `similarity` is 1 less the cosine distance of the vectors, and 0 where that is negative: they
    point the other way, or one of them nowhere.
    """

    sample_id: int
    title: str
    genre: str | None
    musical_key: str | None
    bpm: float | None
    duration_s: float | None
    mood: str | None
    energy: float | None
    descriptors: Any
    similarity: float


@dataclass(frozen=True, slots=True)
class NewSampleEmbedding:
    """What to store of a sample; `embedding_source` is the model."""

    sample_id: int
    vibe_vector: NDArray[np.float32]
    embedding_source: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class PendingSample:
    """A sample to embed, and the text that says what it sounds like."""

    id: int
    content: str

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the content, in hexadecimal, as PostgreSQL computes it too."""
        return hashlib.sha256(self.content.encode()).hexdigest()


_STORED = ("sample_id", "vibe_vector", "embedding_source", "content_hash")
_UNIQUE = ("sample_id",)
_VALUES = attrgetter(*_STORED)


def _restricted(**filters: float | str | None) -> tuple[Sequence[ColumnElement[bool]], Any]:
    """Return the conditions for the filters that are given, and their values."""
    given = {
        name: storable(value) if isinstance(value, str) else value
        for name, value in filters.items()
        if value is not None
    }
    return statements.restricted_to(frozenset(given)), given


def _hits(found: Sequence[Any]) -> list[SampleHit] | None:
    """Return the samples beside the one that was asked for; None when that is not embedded."""
    if not found:
        return None
    return [SampleHit(*row[1:]) for row in found if row[1] is not None]


def _given(model: E | None) -> E:
    if model is None:
        raise EmbedderError(
            "The repository was given no embedding model, which a search by text needs.",
            "Make it with one: embedders.from_settings(settings.read()).",
        )
    return model


class SampleRepository(VectorRepository[SampleHit]):
    """Samples by what they sound like.

    The embedder is the model that made the stored vectors; only a search by text needs it.
    """

    row, payload = SampleHit, statements.SAMPLE
    vectors = SampleEmbedding.vibe_hnsw
    stored, unique = _STORED, _UNIQUE

    def __init__(self, session: Session, embedder: Embedder | None = None) -> None:
        super().__init__(session)
        self.embedder = embedder

    def search_by_vibe(
        self,
        query: str,
        limit: int = 10,
        *,
        bpm_min: float | None = None,
        bpm_max: float | None = None,
        genre: str | None = None,
        musical_key: str | None = None,
        energy_min: float | None = None,
        energy_max: float | None = None,
        threshold: float = THRESHOLD,
    ) -> list[SampleHit]:
        """Return the samples that sound most like what the query says, at least `threshold` alike.

        Genre and key are compared exactly, the other filters include their bounds, and a sample
        that does not have the value does not pass. Raises EmbedderError.
        """
        model = _given(self.embedder)
        (vector,) = padded(model.embed([cleaned(query)]), EMBEDDING_DIMENSIONS)
        where, values = _restricted(
            bpm_min=bpm_min,
            bpm_max=bpm_max,
            genre=genre,
            musical_key=musical_key,
            energy_min=energy_min,
            energy_max=energy_max,
        )
        return self.nearest(vector, limit, *where, threshold=threshold, **values)

    def find_similar(
        self, sample_id: int, limit: int = 10, *, threshold: float = THRESHOLD
    ) -> list[SampleHit] | None:
        """Return the other samples that sound most like one; None when that is not embedded."""
        values = {"sample_id": sample_id, "threshold": threshold}
        found = self._fetch(statements.similar(limit), values)
        return _hits(found)

    def save(self, embeddings: Iterable[NewSampleEmbedding]) -> int:
        """Store embeddings in bulk, replacing those of the same samples; return how many."""
        return self.store(map(_VALUES, embeddings))

    def pending(
        self, model_name: str, after: int = 0, limit: int = 256, *, changed: bool = False
    ) -> list[PendingSample]:
        """Return the next samples by id without an embedding.

        With `changed` also those whose embedding is of another text or another model.
        """
        found = self.session.execute(
            statements.pending(storable(model_name), after, limit, changed)
        )
        return [PendingSample(*each) for each in found]

    def hold(self, ids: Sequence[int]) -> set[int]:
        """Return which samples still exist, and keep them from being deleted until the commit."""
        return set(self.session.scalars(statements.still_there(ids)))


class AsyncSampleRepository(AsyncVectorRepository[SampleHit]):
    """The asynchronous twin of SampleRepository."""

    row, payload = SampleHit, statements.SAMPLE
    vectors = SampleEmbedding.vibe_hnsw
    stored, unique = _STORED, _UNIQUE

    def __init__(self, session: AsyncSession, embedder: AsyncEmbedder | None = None) -> None:
        super().__init__(session)
        self.embedder = embedder

    async def search_by_vibe(
        self,
        query: str,
        limit: int = 10,
        *,
        bpm_min: float | None = None,
        bpm_max: float | None = None,
        genre: str | None = None,
        musical_key: str | None = None,
        energy_min: float | None = None,
        energy_max: float | None = None,
        threshold: float = THRESHOLD,
    ) -> list[SampleHit]:
        """Return the samples that sound most like what the query says, at least `threshold` alike.

        Genre and key are compared exactly, the other filters include their bounds, and a sample
        that does not have the value does not pass. Raises EmbedderError.
        """
        model = _given(self.embedder)
        (vector,) = padded(await model.embed([cleaned(query)]), EMBEDDING_DIMENSIONS)
        where, values = _restricted(
            bpm_min=bpm_min,
            bpm_max=bpm_max,
            genre=genre,
            musical_key=musical_key,
            energy_min=energy_min,
            energy_max=energy_max,
        )
        return await self.nearest(vector, limit, *where, threshold=threshold, **values)

    async def find_similar(
        self, sample_id: int, limit: int = 10, *, threshold: float = THRESHOLD
    ) -> list[SampleHit] | None:
        """Return the other samples that sound most like one; None when that is not embedded."""
        values = {"sample_id": sample_id, "threshold": threshold}
        found = await self._fetch(statements.similar(limit), values)
        return _hits(found)

    async def save(self, embeddings: Iterable[NewSampleEmbedding]) -> int:
        """Store embeddings in bulk, replacing those of the same samples; return how many."""
        return await self.store(map(_VALUES, embeddings))

    async def pending(
        self, model_name: str, after: int = 0, limit: int = 256, *, changed: bool = False
    ) -> list[PendingSample]:
        """Return the next samples by id without an embedding.

        With `changed` also those whose embedding is of another text or another model.
        """
        found = await self.session.execute(
            statements.pending(storable(model_name), after, limit, changed)
        )
        return [PendingSample(*each) for each in found]

    async def hold(self, ids: Sequence[int]) -> set[int]:
        """Return which samples still exist, and keep them from being deleted until the commit."""
        return set(await self.session.scalars(statements.still_there(ids)))
