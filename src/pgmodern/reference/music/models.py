"""The music schema at head; `alembic/versions/*_music_*` brings a live database here."""

import uuid
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgmodern.indexes import FullTextIndex, HnswIndex, JsonbIndex, JsonbKeyIndex, TrigramIndex
from pgmodern.types import Vector

EMBEDDING_DIMENSIONS = 1536


class Base(DeclarativeBase):
    """The music schema's metadata."""


def _identity() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(), primary_key=True)


def _created_at() -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


class Artist(Base):
    """A performer."""

    __tablename__ = "artists"

    id: Mapped[int] = _identity()
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = _created_at()
    search_vector: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)

    name_trgm = TrigramIndex("ix_artists_name_trgm", name)
    search = FullTextIndex("ix_artists_search_vector", [(name, "A")], stored=search_vector)


class Track(Base):
    """A recording of a title by an artist."""

    __tablename__ = "tracks"

    id: Mapped[int] = _identity()
    artist_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("artists.id"), index=True)
    title: Mapped[str] = mapped_column(Text)
    album: Mapped[str | None] = mapped_column(Text)
    duration_ms: Mapped[int | None]
    tempo: Mapped[float | None] = mapped_column(Double)
    created_at: Mapped[datetime] = _created_at()
    search_vector: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)

    title_trgm = TrigramIndex("ix_tracks_title_trgm", title)
    search = FullTextIndex(
        "ix_tracks_search_vector", [(title, "A"), (album, "B")], stored=search_vector
    )


class Archive(Base):
    """A playlist as it was: `{"tracks": [{"artist", "title", ...}], ...}`."""

    __tablename__ = "archives"

    id: Mapped[uuid.UUID] = mapped_column(
        Uuid, primary_key=True, server_default=func.gen_random_uuid()
    )
    user_id: Mapped[uuid.UUID] = mapped_column(Uuid, index=True)
    name: Mapped[str] = mapped_column(Text)
    playlist_data: Mapped[Any] = mapped_column(JSONB)
    created_at: Mapped[datetime] = _created_at()

    document = JsonbIndex("ix_archives_playlist_data", playlist_data)
    genre = JsonbKeyIndex("ix_archives_genre", playlist_data, "genre")
    mood = JsonbKeyIndex("ix_archives_mood", playlist_data, "mood")
    source = JsonbKeyIndex("ix_archives_source", playlist_data, "source")
    year = JsonbKeyIndex("ix_archives_year", playlist_data, "year", kind="number")
    newest = Index("ix_archives_created_at_id", created_at, id)


class UnreadableArchive(Base):
    """An archive whose document the migration could not understand, and why; it stays as it was."""

    __tablename__ = "unreadable_archives"

    archive_id: Mapped[uuid.UUID] = mapped_column(
        Uuid, ForeignKey("archives.id", ondelete="CASCADE"), primary_key=True
    )
    reason: Mapped[str] = mapped_column(Text)
    found_at: Mapped[datetime] = _created_at()


class AILog(Base):
    """A prompt and what a model answered."""

    __tablename__ = "ai_logs"

    id: Mapped[int] = _identity()
    user_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    prompt: Mapped[str] = mapped_column(Text)
    response: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = _created_at()


class AIInteractionEmbedding(Base):
    """What an AI log means to one embedding model."""

    __tablename__ = "ai_interaction_embeddings"
    __table_args__ = (UniqueConstraint("ai_log_id", "model_name"),)

    id: Mapped[int] = _identity()
    ai_log_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("ai_logs.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID | None] = mapped_column(Uuid, index=True)
    model_name: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(Text)
    embedding: Mapped[NDArray[np.float32]] = mapped_column(Vector(EMBEDDING_DIMENSIONS))
    created_at: Mapped[datetime] = _created_at()

    embedding_hnsw = HnswIndex("ix_ai_interaction_embeddings_embedding", embedding)
