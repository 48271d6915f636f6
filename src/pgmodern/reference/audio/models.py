"""The audio schema at head; `alembic/versions/*_audio_*` brings a live database here."""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgmodern.indexes import HnswIndex
from pgmodern.types import Vector

EMBEDDING_DIMENSIONS = 1536


class Base(DeclarativeBase):
    """The audio schema's metadata."""


def _identity() -> Mapped[int]:
    return mapped_column(Integer, Identity(), primary_key=True)


def _created_at() -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def _list() -> Mapped[Any]:
    return mapped_column(JSONB, server_default=text("'[]'"))


class Sample(Base):
    """A piece of sound; lengths in seconds, tempo in beats a minute."""

    __tablename__ = "samples"

    id: Mapped[int] = _identity()
    title: Mapped[str] = mapped_column(Text)
    genre: Mapped[str | None] = mapped_column(Text)
    musical_key: Mapped[str | None] = mapped_column(Text)
    bpm: Mapped[float | None] = mapped_column(Double)
    duration_s: Mapped[float | None] = mapped_column(Double)
    tags: Mapped[Any] = _list()
    created_at: Mapped[datetime] = _created_at()

    of_genre = Index("ix_samples_genre", genre)
    of_key = Index("ix_samples_musical_key", musical_key)
    of_tempo = Index("ix_samples_bpm", bpm)


class VibeAnalysis(Base):
    """How a sample sounds to a listener."""

    __tablename__ = "vibe_analysis"

    id: Mapped[int] = _identity()
    sample_id: Mapped[int] = mapped_column(
        Integer, ForeignKey("samples.id", ondelete="CASCADE"), unique=True
    )
    mood: Mapped[str | None] = mapped_column(Text)
    energy: Mapped[float | None] = mapped_column(Double)
    descriptors: Mapped[Any] = _list()
    created_at: Mapped[datetime] = _created_at()

    of_energy = Index("ix_vibe_analysis_energy", energy)


class SampleEmbedding(Base):
    """What a sample sounds like to an embedding model.

    `embedding_source` is that model, `content_hash` the SHA-256 of the text that it was given;
    it is NULL where the application embedded the sample itself.
    """

    __tablename__ = "sample_embeddings"

    id: Mapped[int] = _identity()
    sample_id: Mapped[int] = mapped_column(Integer, ForeignKey("samples.id"), unique=True)
    embedding_source: Mapped[str | None] = mapped_column(String)
    created_at: Mapped[datetime | None] = _created_at()
    vibe_vector: Mapped[NDArray[np.float32]] = mapped_column(Vector(EMBEDDING_DIMENSIONS))
    content_hash: Mapped[str | None] = mapped_column(Text)

    vibe_hnsw = HnswIndex("ix_sample_embeddings_vibe_vector", vibe_vector)
