"""HNSW indexes: the expressions that they serve."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import Column, Float, Text, insert, literal, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.errors import DeclarationError, VectorError
from pgmodern.indexes import HnswIndex
from pgmodern.indexes.hnsw import Metric
from pgmodern.queries.explain import Explain, indexes_used
from pgmodern.types import HalfVector, Vector


class Base(DeclarativeBase):
    """The metadata of this file."""


class Sound(Base):
    """A vector under every metric, as itself and as halfvec."""

    __tablename__ = "sounds"

    id: Mapped[int] = mapped_column(primary_key=True)
    full: Mapped[Any] = mapped_column(Vector(3))
    half: Mapped[Any] = mapped_column(HalfVector(3))
    cosine = HnswIndex("ix_cosine", full)
    l2 = HnswIndex("ix_l2", full, metric="l2")
    product = HnswIndex("ix_product", full, metric="inner_product")
    halved = HnswIndex("ix_halved", full, as_halfvec=True)
    unit = HnswIndex("ix_unit", full, as_halfvec=True, normalised=True)
    halved_l2 = HnswIndex("ix_halved_l2", full, metric="l2", as_halfvec=True)
    half_product = HnswIndex("ix_half_product", half, metric="inner_product")


INDEXES = [
    Sound.cosine,
    Sound.l2,
    Sound.product,
    Sound.halved,
    Sound.unit,
    Sound.halved_l2,
    Sound.half_product,
]
every_index = pytest.mark.parametrize("index", INDEXES, ids=lambda index: str(index.name))


@pytest.fixture
def sounds(session: Session) -> Session:
    """A session that has the table."""
    Base.metadata.create_all(session.connection())
    return session


def _distance(metric: Metric, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if metric == "l2":
        return float(np.linalg.norm(a - b))
    if metric == "inner_product":
        return float(-(a @ b))
    return float(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@every_index
def test_the_index_orders_by_its_distance_which_is_the_metric_s(
    index: HnswIndex, sounds: Session
) -> None:
    vectors = np.random.default_rng(1).integers(-4, 5, (20, 3)) + 0.25
    sounds.execute(insert(Sound), [{"full": vector, "half": vector} for vector in vectors])
    distance = index.distance(index.literal([1, 2, 3]))
    nearest = select(Sound.full, distance).order_by(distance).limit(20)
    sounds.execute(text("SET LOCAL enable_seqscan = off"))
    assert indexes_used(sounds.scalar(Explain(nearest))) == [index.name]
    rows = sounds.execute(nearest).all()
    expected = sorted(_distance(index.metric, vector, np.array([1, 2, 3])) for vector in vectors)
    assert [round(found, 4) for _, found in rows] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(
    ("dimensions", "as_halfvec", "operand"),
    [
        (2000, False, Vector),
        (2000, True, HalfVector),
        (2001, False, HalfVector),
        (4000, False, HalfVector),
    ],
)
def test_what_vector_cannot_index_is_indexed_as_halfvec(
    dimensions: int, as_halfvec: bool, operand: type, session: Session
) -> None:
    class Wide(DeclarativeBase):
        pass

    class Row(Wide):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        vector: Mapped[Any] = mapped_column(Vector(dimensions))
        hnsw = HnswIndex("ix_rows_vector", vector, as_halfvec=as_halfvec)

    Wide.metadata.create_all(session.connection())
    session.execute(insert(Row).values(id=1, vector=np.ones(dimensions)))
    distance = Row.hnsw.distance(Row.hnsw.literal(np.ones(dimensions)))
    session.execute(text("SET LOCAL enable_seqscan = off"))
    nearest = select(Row.id).order_by(distance).limit(1)
    assert isinstance(Row.hnsw.operand, operand)
    assert indexes_used(session.scalar(Explain(nearest))) == ["ix_rows_vector"]
    assert session.scalar(nearest) == 1


@pytest.mark.quick
@pytest.mark.parametrize(
    "column",
    [
        Column("c", Text),
        Column("c", Vector()),
        Column("c", HalfVector()),
        Column("c", Vector(4001)),
        Column("c", HalfVector(4001)),
    ],
    ids=lambda column: repr(column.type),
)
def test_what_hnsw_cannot_index_is_refused_where_it_is_declared(column: Column[Any]) -> None:
    with pytest.raises(DeclarationError, match="ix_c"):
        HnswIndex("ix_c", column)


class Coarse(DeclarativeBase):
    """The metadata of coarse indexes."""


class Picture(Coarse):
    """Vectors of which indexes hold less."""

    __tablename__ = "pictures"

    id: Mapped[int] = mapped_column(primary_key=True)
    full: Mapped[Any] = mapped_column(Vector(2100))
    half: Mapped[Any] = mapped_column(HalfVector(8))
    large: Mapped[Any] = mapped_column(Vector(4100))
    first = HnswIndex("ix_first", full, prefix=3)
    first_wide = HnswIndex("ix_first_wide", full, prefix=2050, metric="l2")
    first_halved = HnswIndex("ix_first_halved", full, prefix=3, as_halfvec=True)
    first_of_half = HnswIndex("ix_first_of_half", half, prefix=3)
    signs = HnswIndex("ix_signs", full, quantised=True)
    signs_of_half = HnswIndex("ix_signs_of_half", half, quantised=True, metric="l2")
    first_signs = HnswIndex("ix_first_signs", large, quantised=True, prefix=64)
    all_signs = HnswIndex("ix_all_signs", large, quantised=True)


COARSE = [index for index in vars(Picture).values() if isinstance(index, HnswIndex)]


@pytest.mark.parametrize("index", COARSE, ids=lambda index: str(index.name))
def test_a_coarse_index_serves_the_distance_of_what_it_holds(
    index: HnswIndex, session: Session
) -> None:
    Coarse.metadata.create_all(session.connection())
    vectors = np.random.default_rng(2).normal(size=(20, 4100))
    rows = [{"full": v[:2100], "half": v[:8], "large": v} for v in vectors]
    session.execute(insert(Picture), rows)
    operand = index.operand
    assert isinstance(operand, Vector | HalfVector)
    dimensions = operand.dim
    assert dimensions is not None
    sought = index.literal(vectors[7][:dimensions])
    session.execute(text("SET LOCAL enable_seqscan = off"))
    coarse = select(Picture.id, index.distance(sought)).order_by(index.distance(sought)).limit(3)
    assert indexes_used(session.scalar(Explain(coarse))) == [index.name]
    nearest, distance = session.execute(coarse).first() or (0, 1)
    assert (nearest, round(distance, 4)) == (8, 0)
    exact = select(Picture.id, index.exact_distance(sought)).order_by(index.exact_distance(sought))
    assert indexes_used(session.scalar(Explain(exact.limit(3)))) == []
    found = dict(session.execute(exact).all())
    whole = vectors[:, :dimensions]
    for number, vector in enumerate(whole, 1):
        expected = _distance(index.metric, vector, whole[7])
        assert found[number] == pytest.approx(expected, abs=2e-3, rel=1e-3)


@pytest.mark.quick
@pytest.mark.parametrize(
    "options",
    [
        {"prefix": 0},
        {"prefix": 8},
        {"prefix": 9},
        {"prefix": 4, "normalised": True, "as_halfvec": True},
        {"quantised": True, "as_halfvec": True},
        {"quantised": True, "normalised": True},
    ],
    ids=str,
)
def test_what_a_coarse_index_cannot_hold_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="ix_c"):
        HnswIndex("ix_c", Column("c", Vector(8)), **options)


@pytest.mark.quick
def test_less_than_was_asked_for_cannot_be_put_in_order() -> None:
    with pytest.raises(DeclarationError, match="oversampling"):
        HnswIndex("ix_c", Column("c", Vector(8)), prefix=4, oversampling=0)


@every_index
@pytest.mark.parametrize("vector", [[1, 2], [1, 2, 3, 4], [], [1, 2, float("nan")], "123"])
def test_a_vector_that_does_not_fit_is_refused(index: HnswIndex, vector: Any) -> None:
    with pytest.raises(VectorError):
        index.literal(vector)


def test_a_number_beyond_float16_is_refused_where_the_index_is_halved() -> None:
    assert Sound.cosine.literal([1e5, 0, 0]) is not None
    with pytest.raises(VectorError, match="65504"):
        Sound.halved.literal([1e5, 0, 0])


DISTANCES = {
    "cosine": st.floats(0, 2) | st.just(float("nan")),
    "l2": st.floats(min_value=0),
    "inner_product": st.floats(),
}


@every_index
@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_distance_has_a_score_in_0_to_1(
    index: HnswIndex, data: st.DataObject, session: Session
) -> None:
    distance = data.draw(DISTANCES[index.metric])
    score = session.scalar(select(index.score(literal(distance, Float))))
    assert score is not None
    assert 0 <= score <= 1


@pytest.mark.parametrize(
    ("index", "distance", "score"),
    [
        (Sound.cosine, 0.0, 1.0),
        (Sound.cosine, 0.25, 0.75),
        (Sound.cosine, 1.0, 0.0),
        (Sound.cosine, 2.0, 0.0),
        (Sound.cosine, float("nan"), 0.0),
        (Sound.l2, 0.0, 1.0),
        (Sound.l2, 1.0, 0.5),
        (Sound.l2, float("inf"), 0.0),
        (Sound.product, -1.0, 1.0),
        (Sound.product, -0.25, 0.25),
        (Sound.product, -7.0, 1.0),
        (Sound.product, 3.0, 0.0),
        (Sound.product, float("nan"), 0.0),
    ],
    ids=str,
)
def test_the_score_is_one_for_the_same_and_zero_for_the_opposite(
    index: HnswIndex, distance: float, score: float, session: Session
) -> None:
    assert session.scalar(select(index.score(literal(distance, Float)))) == score


def test_no_number_is_too_large_or_too_small_for_a_normalised_index(session: Session) -> None:
    session.execute(text('CREATE TABLE sounds (id serial PRIMARY KEY, "full" vector(3))'))
    Sound.unit.create(session.connection())
    vectors = [[3e38, 0, 0], [0, 1e-40, 0], [0, 0, 1], [0, 0, 0]]
    for number, vector in enumerate(vectors):
        session.execute(insert(Sound).values(id=number, full=vector))
    session.execute(text("SET LOCAL enable_seqscan = off"))
    distance = Sound.unit.distance(Sound.unit.literal([9, 4, 1]))
    nearest = select(Sound.id).order_by(distance)
    assert indexes_used(session.scalar(Explain(nearest))) == ["ix_unit"]
    assert session.scalars(nearest).all() == [0, 1, 2]  # that of length zero has no direction


@pytest.mark.parametrize("options", [{}, {"as_halfvec": True, "metric": "l2"}])
def test_only_a_cosine_of_a_halved_vector_can_be_of_normalised_ones(options: Any) -> None:
    with pytest.raises(DeclarationError, match="normalised"):
        HnswIndex("ix", Column("v", Vector(3)), normalised=True, **options)
