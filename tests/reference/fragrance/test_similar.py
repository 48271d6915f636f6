"""Similar fragrances, at a size at which indexes matter."""

import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from psycopg.types.json import Jsonb
from sqlalchemy import URL, Engine, create_engine, event, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern.errors import VectorError
from pgmodern.locks import driver
from pgmodern.pytest_plugin import _database
from pgmodern.queries.explain import indexes_used
from pgmodern.reference.fragrance import (
    AsyncFragranceRepository,
    Fragrance,
    FragranceEmbedding,
    FragranceEmbeddingRepository,
    FragranceRepository,
)
from pgmodern.reference.fragrance.statements import OVERSAMPLING, oversampling
from tests.plans import MODES, plans

FRAGRANCES, DIMENSIONS, BRANDS, POPULAR = 1_500, 2_048, 150, 300
IDS = [uuid.UUID(int=number) for number in range(FRAGRANCES)]
ACCORDS = ["woody", "rose", "citrus", "musk", "amber", "green", "sweet"]
HNSW = (
    Fragrance.embedding_hnsw,
    Fragrance.popular_hnsw,
    FragranceEmbedding.hnsw,
    FragranceEmbedding.hnsw_512,
    FragranceEmbedding.hnsw_128,
)


def _vectors() -> NDArray[np.float32]:
    """Make vectors whose first dimensions carry the most, as those of a Matryoshka model do."""
    chance = np.random.default_rng(6)
    spectrum = 1 / np.sqrt(np.arange(1, DIMENSIONS + 1))
    vectors = chance.normal(size=(FRAGRANCES, DIMENSIONS)) * spectrum
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


VECTORS = _vectors()


def _accords(number: int) -> list[str]:
    return [ACCORDS[number % 7], ACCORDS[number * 3 % 5]]


def _load(session: Session) -> None:
    for index in HNSW:  # built at once, for speed
        index.drop(session.connection())
    columns = "id, name, brand, description, accords, rating_value, rating_count, embedding"
    copy = f"COPY fragrances ({columns}) FROM STDIN".encode()
    with driver(session.connection()).cursor() as cursor, cursor.copy(copy) as rows:
        for number, vector in enumerate(VECTORS):
            popular = number < POPULAR
            rows.write_row(
                (
                    IDS[number],
                    f"Fragrance {number}",
                    f"Brand {number % BRANDS}",
                    f"smells of {ACCORDS[number % 7]}",
                    Jsonb(_accords(number)),
                    4.0 if popular else number % 40 / 10,
                    100 + number % 2 if popular else 99,
                    str(vector.tolist()),
                )
            )
    for index in HNSW:
        index.create(session.connection())


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database of a size at which indexes matter; every test rolls back what it did."""
    with _database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with Session(engine) as session:
            _load(session)
            session.commit()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield url


def _exact(vector: NDArray[np.float32], k: int, of: Any = range(FRAGRANCES)) -> list[uuid.UUID]:
    numbers = np.array(list(of))
    return [IDS[n] for n in numbers[np.argsort(-(VECTORS[numbers] @ vector), kind="stable")[:k]]]


def _ids(found: list[Any]) -> list[uuid.UUID]:
    return [hit.id for hit in found]


COARSE = "ix_fragrance_embeddings_multi_embedding_128"
KEY = "fragrance_embeddings_multi_pkey"
Read = Callable[[Any], Any]
READS: dict[str, tuple[Read, set[str]]] = {
    "fragrance": (lambda r: r.similar(IDS[7]), {COARSE, KEY}),
    "vector": (lambda r: r.similar(VECTORS[7]), {COARSE}),
    "vector, more": (lambda r: r.similar(VECTORS[7], 5, recall=0.99), {COARSE}),
    "popular": (lambda r: r.similar(VECTORS[7], popular=True), {"ix_fragrances_popular"}),
    "popular fragrance": (lambda r: r.similar(IDS[7], popular=True), {"ix_fragrances_popular"}),
    "brand": (lambda r: r.similar(IDS[7], 5, brand="Brand 7"), {"ix_fragrances_brand"}),
    "accords": (
        lambda r: r.similar(IDS[7], 5, accords=["woody", "green"], brand="Brand 7"),
        {"ix_fragrances_brand"},
    ),
    "rating": (lambda r: r.similar(IDS[7], min_rating=2.0), {COARSE}),
    "name": (lambda r: r.fuzzy("Fragrnace 77"), {"ix_fragrances_name_trgm"}),
    "words": (lambda r: r.full_text("fragrance 77"), {"ix_fragrances_search_vector"}),
}
every_read = pytest.mark.parametrize(("read", "indexes"), READS.values(), ids=READS)


@pytest.mark.parametrize("mode", MODES)
@every_read
def test_every_read_is_served_by_its_index(
    read: Read, indexes: set[str], mode: str, session: Session
) -> None:
    with plans(session, mode) as collected:
        found = read(FragranceRepository(session))
    assert found
    (plan,) = collected
    assert indexes <= set(indexes_used(plan)), indexes_used(plan)


@every_read
def test_every_read_is_one_statement(
    read: Read, indexes: set[str], session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    read(FragranceRepository(session))
    assert len(sent) == 1


@every_read
async def test_both_twins_answer_the_same(
    read: Callable[[Any], Awaitable[Any]],
    indexes: set[str],
    session: Session,
    async_session: AsyncSession,
) -> None:
    answer = read(FragranceRepository(session))
    assert await read(AsyncFragranceRepository(async_session)) == answer
