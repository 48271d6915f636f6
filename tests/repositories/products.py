"""A shop's table, with a column of each kind that a repository asks or fills."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import ARRAY, URL, DateTime, Numeric, Text, Uuid, create_engine, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.indexes import FullTextIndex, HnswIndex, JsonbIndex, TrigramIndex
from pgmodern.queries import Queue
from pgmodern.repositories import (
    AsyncCountRepository,
    AsyncDocumentRepository,
    AsyncQueueRepository,
    AsyncSearchRepository,
    AsyncVectorRepository,
    SearchRepository,
    VectorRepository,
)
from pgmodern.testing.databases import database
from pgmodern.types import Bit, HalfVector, SparseVector, Vector

DIMENSIONS = 8


class Base(DeclarativeBase):
    """The metadata of the shop."""


class Product(Base):
    """Something to sell."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    code: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    attributes: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    sold_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    embedding: Mapped[Any | None] = mapped_column(Vector(DIMENSIONS))
    half: Mapped[Any | None] = mapped_column(HalfVector(DIMENSIONS))
    sparse: Mapped[Any | None] = mapped_column(SparseVector(DIMENSIONS))
    bits: Mapped[Any | None] = mapped_column(Bit(DIMENSIONS))
    name_trgm = TrigramIndex("ix_products_name", name)
    words = FullTextIndex("ix_products_words", [(name, "A")])
    held = JsonbIndex("ix_products_attributes", attributes)
    near = HnswIndex("ix_products_embedding", embedding)
    near_sparse = HnswIndex("ix_products_sparse", sparse, metric="l1")
    near_bits = HnswIndex("ix_products_bits", bits, metric="jaccard")


@dataclass(frozen=True, slots=True)
class Hit:
    """What is shown of a product that was found."""

    id: int
    name: str
    score: float
    highlight: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """What is shown of a product."""

    id: int
    name: str


SHOWN = select(Product.id, Product.name)
STORED = (
    *("id", "name", "code", "price", "tags", "attributes"),
    *("sold_at", "embedding", "half", "sparse", "bits"),
)


class Products(SearchRepository[Hit]):
    row, payload, trigram, words = Hit, SHOWN, Product.name_trgm, Product.words


class Neighbours(VectorRepository[Hit]):
    row, payload, vectors = Hit, SHOWN, Product.near
    stored, unique = STORED, ("id",)


class AsyncProducts(AsyncSearchRepository[Hit], AsyncCountRepository):
    row, payload, trigram, words, counted = Hit, SHOWN, Product.name_trgm, Product.words, SHOWN


class AsyncNeighbours(AsyncVectorRepository[Hit]):
    row, payload, vectors = Hit, SHOWN, Product.near
    stored, unique = STORED, ("id",)


class AsyncDocuments(AsyncDocumentRepository[Item]):
    row, payload, document = Item, SHOWN, Product.held
    newest_first = (Product.id,)


class AsyncUnsold(AsyncQueueRepository[Item]):
    row, payload = Item, SHOWN
    queue = Queue(Base.metadata.tables["products"], "sold_at", ("id",))


def row(number: int) -> list[Any]:
    """Return a product as `store` takes it."""
    vector = np.eye(DIMENSIONS, dtype=np.float32)[number % DIMENSIONS]
    return [
        *(number, f"product number {number}", uuid.UUID(int=number), Decimal("1.50")),
        *(["a", "é,"], {"colour": "red", "size": number}, datetime(2026, 1, 1, tzinfo=UTC)),
        *(vector, vector / 2, {number % DIMENSIONS: 1.5}, vector > 0),
    ]


FIRST_FOUR = insert(Product).values([dict(zip(STORED, row(n), strict=True)) for n in range(1, 5)])


@contextmanager
def shop(server: URL) -> Iterator[URL]:
    """Give a database with four products."""
    with database(server) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            Base.metadata.create_all(connection)
            connection.execute(FIRST_FOUR)
        yield url
