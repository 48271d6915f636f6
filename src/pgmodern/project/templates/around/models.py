"""The tables, each with its indexes beside the columns that they serve."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgmodern import FullTextIndex, HnswIndex, JsonbIndex, TrigramIndex, Vector
from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The metadata that migrations/env.py hands to Alembic."""


class Product(Base):
    """Something that is searched for: by name, by words, by details and by meaning."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    embedding: Mapped[NDArray[np.float32] | None] = mapped_column(Vector(384))
    search_vector: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)

    name_trgm = TrigramIndex("ix_products_name", name)
    words = FullTextIndex("ix_products_words", [(name, "A")], stored=search_vector)
    holds = JsonbIndex("ix_products_details", details)
    near = HnswIndex("ix_products_embedding", embedding)
