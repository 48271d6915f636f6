"""What the music application finds and stores."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray


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


STORED = ("ai_log_id", "user_id", "model_name", "content_hash", "embedding")
stored_values = attrgetter(*STORED)
