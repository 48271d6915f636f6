# Generated from ../asynchronous/repository.py by `make twins`: do not edit.
"""What the audio application asks of its database."""

from collections.abc import Iterable, Sequence

from sqlalchemy.orm import Session

from pgmodern.embedders import Embedder, padded, required
from pgmodern.queries.text import cleaned, storable
from pgmodern.reference.audio import statements
from pgmodern.reference.audio.models import EMBEDDING_DIMENSIONS, SampleEmbedding
from pgmodern.reference.audio.rows import (
    STORED,
    NewSampleEmbedding,
    PendingSample,
    SampleHit,
    hits,
    stored_values,
)
from pgmodern.reference.audio.statements import THRESHOLD
from pgmodern.repositories import VectorRepository


class SampleRepository(VectorRepository[SampleHit]):
    """Samples by what they sound like.

    The embedder is the model that made the stored vectors; only a search by text needs it.
    """

    row, payload = SampleHit, statements.SAMPLE
    vectors = SampleEmbedding.vibe_hnsw
    stored, unique = STORED, ("sample_id",)

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
        model = required(self.embedder)
        (vector,) = padded(model.embed([cleaned(query)]), EMBEDDING_DIMENSIONS)
        where, values = statements.restricted(
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
        return hits(found)

    def save(self, embeddings: Iterable[NewSampleEmbedding]) -> int:
        """Store embeddings in bulk, replacing those of the same samples; return how many."""
        return self.store(map(stored_values, embeddings))

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
