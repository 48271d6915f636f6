"""What the audio application finds and stores."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray


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


STORED = ("sample_id", "vibe_vector", "embedding_source", "content_hash")
stored_values = attrgetter(*STORED)


def hits(found: Sequence[Any]) -> list[SampleHit] | None:
    """Return the samples beside the one that was asked for; None when that is not embedded."""
    if not found:
        return None
    return [SampleHit(*row[1:]) for row in found if row[1] is not None]
