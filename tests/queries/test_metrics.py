"""The nearest by every metric of every type, beside the operator's own order."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR
from sqlalchemy import URL, insert, literal, select
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.indexes import HnswIndex
from pgmodern.queries import nearest
from pgmodern.testing.databases import database
from pgmodern.types import Bit, HalfVector, SparseVector, Vector

ROWS, DIMENSIONS, K = 60, 8, 7


class Base(DeclarativeBase):
    """The metadata of this file."""


class Thing(Base):
    """A vector of every type, ours and pgvector's, under every metric that it has."""

    __tablename__ = "things"

    id: Mapped[int] = mapped_column(primary_key=True)
    full: Mapped[Any] = mapped_column(Vector(DIMENSIONS))
    half: Mapped[Any] = mapped_column(HalfVector(DIMENSIONS))
    sparse: Mapped[Any] = mapped_column(SparseVector(DIMENSIONS))
    bits: Mapped[Any] = mapped_column(Bit(DIMENSIONS))
    their_full: Mapped[Any] = mapped_column(VECTOR(DIMENSIONS))
    their_half: Mapped[Any] = mapped_column(HALFVEC(DIMENSIONS))
    their_sparse: Mapped[Any] = mapped_column(SPARSEVEC(DIMENSIONS))
    their_bits: Mapped[Any] = mapped_column(BIT(DIMENSIONS))


OF_NUMBERS = ("cosine", "l2", "inner_product", "l1")
OF_BITS = ("hamming", "jaccard")
INDEXES = [
    HnswIndex(f"ix_{column.name}_{metric}", column, metric=metric)  # type: ignore[arg-type]
    for column in Base.metadata.tables["things"].c
    if column.name != "id"
    for metric in (OF_BITS if "bits" in column.name else OF_NUMBERS)
]


def _row(number: int, chance: np.random.Generator) -> dict[str, Any]:
    vector = chance.normal(size=DIMENSIONS).astype(np.float32)
    vector[chance.integers(DIMENSIONS)] = 0
    bits = vector > 0
    theirs = {"their_full": vector, "their_half": vector, "their_sparse": vector}
    own = {"full": vector, "half": vector, "sparse": vector, "bits": bits}
    return {
        "id": number,
        **own,
        **theirs,
        "their_bits": "".join("1" if bit else "0" for bit in bits),
    }


@pytest.fixture(scope="module")
def database_url(postgres_url: URL) -> Iterator[URL]:
    """A database with sixty random rows."""
    with database(postgres_url) as url:
        chance = np.random.default_rng(4)
        with sa_create_engine(url, poolclass=NullPool).begin() as connection:
            Base.metadata.create_all(connection)
            connection.execute(insert(Thing), [_row(number, chance) for number in range(ROWS)])
        yield url


QUICK = {"ix_full_l1", "ix_sparse_cosine", "ix_bits_jaccard", "ix_their_half_l2"}


@pytest.mark.vector
@pytest.mark.parametrize(
    "index",
    [
        pytest.param(index, marks=[pytest.mark.quick] if index.name in QUICK else [])
        for index in INDEXES
    ],
    ids=lambda index: str(index.name),
)
def test_the_nearest_are_those_of_the_operator_s_own_order(
    index: HnswIndex, session: Session, assert_uses_index: Callable[..., None]
) -> None:
    sought = _row(0, np.random.default_rng(5))["bits" if "bits" in str(index.name) else "full"]
    operand = literal(index.operand.check(sought), index.operand)
    distance = index.distance_of(index.vector, operand)
    expected = session.execute(select(Thing.id, distance).order_by(distance).limit(K)).all()
    found = session.execute(nearest(index, sought, K)).all()
    distances = dict(session.execute(select(Thing.id, distance)).all())
    assert [distances[id_] for id_, _ in found] == [away for _, away in expected]
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    read = lambda: session.execute(nearest(index, sought, K))  # noqa: E731
    assert_uses_index(session, read, index, enable_seqscan=False)
