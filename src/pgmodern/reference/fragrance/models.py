"""The fragrance schema at head; `alembic/versions/*_fragrance_*` brings a live database here."""

import uuid
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Boolean,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Text,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR, ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgmodern.indexes import FullTextIndex, HnswIndex, JsonbIndex, TrigramIndex
from pgmodern.types import HalfVector, Vector

EMBEDDING_DIMENSIONS = 2048
POPULAR_RATING, POPULAR_COUNT = 4.0, 100


class Base(DeclarativeBase):
    """The fragrance schema's metadata."""


def _now() -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def _uuid(**options: Any) -> Mapped[uuid.UUID]:
    return mapped_column(Uuid, server_default=func.gen_random_uuid(), **options)


def _of(column: str, ondelete: str = "CASCADE", **options: Any) -> Mapped[uuid.UUID]:
    return mapped_column(Uuid, ForeignKey(column, onupdate="CASCADE", ondelete=ondelete), **options)


class User(Base):
    """Somebody to whom fragrances are recommended."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = _uuid(primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = _now()


class Fragrance(Base):
    """A fragrance; `accords` is a list of texts, `embedding` what the application has today."""

    __tablename__ = "fragrances"

    id: Mapped[uuid.UUID] = _uuid(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    brand: Mapped[str] = mapped_column(Text, index=True)
    description: Mapped[str | None] = mapped_column(Text)
    accords: Mapped[Any] = mapped_column(JSONB, server_default=text("'[]'"))
    rating_value: Mapped[float | None] = mapped_column(Double)
    rating_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    embedding: Mapped[NDArray[np.float32] | None] = mapped_column(
        Vector(EMBEDDING_DIMENSIONS), deferred=True
    )
    created_at: Mapped[datetime] = _now()
    search_vector: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)

    embedding_hnsw = HnswIndex(
        "ix_fragrances_embedding", embedding, m=32, ef_construction=200, normalised=True
    )
    popular_hnsw = HnswIndex(
        "ix_fragrances_popular",
        embedding,
        m=32,
        ef_construction=200,
        normalised=True,
        where=(rating_value >= POPULAR_RATING) & (rating_count >= POPULAR_COUNT),
    )
    accords_gin = JsonbIndex("ix_fragrances_accords", accords)
    name_trgm = TrigramIndex("ix_fragrances_name_trgm", name)
    search = FullTextIndex(
        "ix_fragrances_search_vector",
        [(name, "A"), (brand, "B"), (description, "C")],
        stored=search_vector,
    )


class FragranceEmbeddingVersion(Base):
    """A model's embeddings of all fragrances; searches read the version that is current.

    Version 1 follows `fragrances.embedding`. One that is retired is being removed.
    """

    __tablename__ = "fragrance_embedding_versions"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    model_name: Mapped[str] = mapped_column(Text)
    is_current: Mapped[bool] = mapped_column(Boolean, server_default=false())
    is_retired: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created_at: Mapped[datetime] = _now()

    __table_args__ = (
        ExcludeConstraint(
            ("is_current", "="),
            name="one_current_version",
            using="btree",
            where=text("is_current"),
            deferrable=True,
        ),
    )


def _prefix(dimensions: int) -> Mapped[NDArray[np.float16]]:
    return mapped_column(
        HalfVector(dimensions),
        Computed(f"l2_normalize(subvector(embedding, 1, {dimensions}))", persisted=True),
        deferred=True,
    )


class FragranceEmbedding(Base):
    """One version's embedding of a fragrance, of length 1, and two prefixes, of length 1 again."""

    __tablename__ = "fragrance_embeddings_multi"

    fragrance_id: Mapped[uuid.UUID] = _of("fragrances.id", primary_key=True)
    version: Mapped[int] = mapped_column(
        Integer, ForeignKey("fragrance_embedding_versions.version"), primary_key=True, index=True
    )
    embedding: Mapped[NDArray[np.float16]] = mapped_column(
        HalfVector(EMBEDDING_DIMENSIONS), deferred=True
    )
    embedding_512: Mapped[NDArray[np.float16]] = _prefix(512)
    embedding_128: Mapped[NDArray[np.float16]] = _prefix(128)
    updated_at: Mapped[datetime] = _now()

    hnsw = HnswIndex(
        "ix_fragrance_embeddings_multi_embedding", embedding, m=32, ef_construction=200
    )
    hnsw_512 = HnswIndex(
        "ix_fragrance_embeddings_multi_embedding_512", embedding_512, m=24, ef_construction=160
    )
    hnsw_128 = HnswIndex(
        "ix_fragrance_embeddings_multi_embedding_128", embedding_128, m=16, ef_construction=128
    )


class FragranceRelationship(Base):
    """That one fragrance belongs to another, how strongly and how surely, both in 0..1."""

    __tablename__ = "fragrance_relationships"

    fragrance_id: Mapped[uuid.UUID] = _of("fragrances.id", primary_key=True)
    related_id: Mapped[uuid.UUID] = _of("fragrances.id", primary_key=True, index=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    weight: Mapped[float] = mapped_column(Double)
    confidence: Mapped[float] = mapped_column(Double, server_default=text("1"))
    updated_at: Mapped[datetime] = _now()

    strongest = Index("ix_fragrance_relationships_fragrance_id_weight", fragrance_id, weight.desc())


class UserInteractionEvent(Base):
    """What a user did; `processed_at` is NULL until somebody has learnt from it."""

    __tablename__ = "user_interaction_events"

    id: Mapped[uuid.UUID] = _uuid(primary_key=True)
    user_id: Mapped[uuid.UUID] = _of("users.id")
    fragrance_id: Mapped[uuid.UUID | None] = _of("fragrances.id", "SET NULL", nullable=True)
    event_type: Mapped[str] = mapped_column(Text)
    details: Mapped[Any] = mapped_column(JSONB, server_default=text("'{}'"))
    timestamp: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, server_default=func.now()
    )
    processed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    newest = Index("ix_user_interaction_events_user_id_timestamp", user_id, timestamp.desc())
    unprocessed = Index(
        "ix_user_interaction_events_unprocessed",
        timestamp,
        id,
        postgresql_where=processed_at.is_(None),
    )
    unprocessed_by_user = Index(
        "ix_user_interaction_events_unprocessed_by_user",
        user_id,
        timestamp,
        id,
        postgresql_where=processed_at.is_(None),
    )
    of_fragrance = Index(
        "ix_user_interaction_events_fragrance_id",
        fragrance_id,
        postgresql_where=fragrance_id.is_not(None),
    )


class AlgorithmPerformance(Base):
    """What is known of an algorithm in a context: Beta(alpha, beta) of its probability to please.

    Both are one before anything is known.
    """

    __tablename__ = "algorithm_performance"

    context: Mapped[str] = mapped_column(Text, primary_key=True)
    algorithm: Mapped[str] = mapped_column(Text, primary_key=True)
    alpha: Mapped[float] = mapped_column(Double, server_default=text("1"))
    beta: Mapped[float] = mapped_column(Double, server_default=text("1"))
    updated_at: Mapped[datetime] = _now()
