"""Nearest neighbours: as many as were asked for, whatever the filter."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import (
    URL,
    ColumnElement,
    Text,
    create_engine,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.schema import CreateTable

from pgmodern.engine import create_engine as create_binary_engine
from pgmodern.errors import VectorError
from pgmodern.extensions import create_sql
from pgmodern.indexes import HnswIndex
from pgmodern.queries import nearest, with_payload
from pgmodern.queries.explain import Explain, indexes_used
from pgmodern.testing.databases import database
from pgmodern.types import Vector
from tests.plans import reported

pytestmark = pytest.mark.vector

ROWS, DIMENSIONS = 5000, 16


class Base(DeclarativeBase):
    """The metadata of this file."""


class Sound(Base):
    """A vector under every metric, as halfvec, and in part."""

    __tablename__ = "sounds"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    vector: Mapped[Any] = mapped_column(Vector(DIMENSIONS))
    cosine = HnswIndex("ix_cosine", vector)
    l2 = HnswIndex("ix_l2", vector, metric="l2")
    product = HnswIndex("ix_product", vector, metric="inner_product")
    halved = HnswIndex("ix_halved", vector, as_halfvec=True)
    prefix = HnswIndex("ix_prefix", vector, prefix=12, as_halfvec=True, oversampling=30)
    bits = HnswIndex("ix_bits", vector, quantised=True, oversampling=120)
    loud = HnswIndex("ix_loud", vector, where=kind == "it's 100% loud")


class Silence(Base):
    """Some vectors of length zero among others."""

    __tablename__ = "silences"

    id: Mapped[int] = mapped_column(primary_key=True)
    vector: Mapped[Any] = mapped_column(Vector(2))
    hnsw = HnswIndex("ix_silences", vector)


METRICS = [Sound.cosine, Sound.l2, Sound.product, Sound.halved, Sound.prefix, Sound.bits]
every_metric = pytest.mark.parametrize("index", METRICS, ids=lambda index: str(index.name))
LOUD = 500
SILENCES = [[0, 0], [1, 0], [7, 0]]
VECTORS = np.random.default_rng(3).normal(size=(ROWS, DIMENSIONS)).astype(np.float32)
ASKED = np.random.default_rng(4).normal(size=(20, DIMENSIONS)).astype(np.float32)


@pytest.fixture(scope="module")
def database_url(postgres_url: URL) -> Iterator[URL]:
    """A database with five thousand vectors."""
    with database(postgres_url) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(create_sql("vector")))
            for table in Base.metadata.sorted_tables:
                connection.execute(CreateTable(table))
            connection.execute(insert(Sound), _rows())
            silences = [{"id": n, "vector": SILENCES[n % 3]} for n in range(30)]
            connection.execute(insert(Silence), silences)
            for index in (*METRICS, Sound.loud, Silence.hnsw):
                index.create(connection)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE sounds, silences"))
        yield url


def _rows() -> list[dict[str, Any]]:
    kinds = ["it's 100% loud" if number < LOUD else "quiet" for number in range(ROWS)]
    return [
        {"id": number, "kind": kind, "vector": vector}
        for number, (kind, vector) in enumerate(zip(kinds, VECTORS, strict=True))
    ]


def _found(
    session: Session, index: HnswIndex, vector: ArrayLike, k: int, **options: Any
) -> list[int]:
    return [row.id for row in session.execute(nearest(index, vector, k, **options))]


def _distances(index: HnswIndex, vector: NDArray[np.float32]) -> NDArray[np.float64]:
    products = VECTORS @ vector
    if index.metric == "inner_product":
        return np.asarray(-products, np.float64)
    if index.metric == "l2":
        return np.asarray(np.linalg.norm(VECTORS - vector, axis=1), np.float64)
    lengths = np.linalg.norm(VECTORS, axis=1) * np.linalg.norm(vector)
    return np.asarray(1 - products / lengths, np.float64)


def _exact(index: HnswIndex, vector: NDArray[np.float32], k: int, below: int = ROWS) -> list[int]:
    order = np.argsort(_distances(index, vector)[:below], kind="stable")
    return [int(number) for number in order[:k]]


@every_metric
def test_nearly_all_of_the_ten_nearest_are_found_by_the_index(
    index: HnswIndex, session: Session
) -> None:
    statement = nearest(index, ASKED[0])
    assert indexes_used(session.scalar(Explain(statement)))[0] == index.name
    hits = [
        len(set(_found(session, index, vector, 10)) & set(_exact(index, vector, 10)))
        for vector in ASKED
    ]
    assert sum(hits) / (10 * len(ASKED)) >= 0.95


@every_metric
def test_distances_ascend_and_scores_descend_within_0_to_1(
    index: HnswIndex, session: Session
) -> None:
    for vector in ASKED[:5]:
        found = session.execute(nearest(index, vector, 50)).all()
        distances = _distances(index, vector)[[row.id for row in found]]
        assert np.all(np.diff(distances) >= -2e-3)
        scores = [row.score for row in found]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("passing", [1, 5, 50, 500, 2500, ROWS])
@pytest.mark.parametrize("k", [1, 10, 100])
@every_metric
def test_k_rows_come_whenever_k_rows_pass_the_filter(
    index: HnswIndex, k: int, passing: int, session: Session
) -> None:
    for vector in ASKED[:3]:
        found = _found(session, index, vector, k, where=[Sound.id < passing])
        assert len(found) == len(set(found)) == min(k, passing)
        assert all(number < passing for number in found)
        if passing <= 50:
            assert set(found) == set(_exact(index, vector, k, passing))


@pytest.mark.parametrize("k", [101, 1000, 1001, 1500, ROWS, ROWS + 1, 10**6])
def test_k_may_be_above_every_breadth_and_above_the_table(k: int, session: Session) -> None:
    found = _found(session, Sound.l2, ASKED[0], k)
    assert len(set(found)) == min(k, ROWS)
    exact = _exact(Sound.l2, ASKED[0], min(k, ROWS))
    assert len(set(found) & set(exact)) >= 0.95 * len(exact)


@pytest.mark.parametrize("passing", [5, 500, 2500, None])
@every_metric
def test_a_threshold_leaves_out_what_scores_less_and_nothing_else(
    index: HnswIndex, passing: int | None, session: Session
) -> None:
    where = [] if passing is None else [Sound.id < passing]
    for vector in ASKED[:3]:
        every = session.execute(nearest(index, vector, 50, where=where)).all()
        threshold = every[len(every) // 2].score
        near = [row.id for row in every if row.score >= threshold]
        assert _found(session, index, vector, 50, where=where, threshold=threshold) == near
        assert _found(session, index, vector, 50, where=where, threshold=1.1) == []
        assert len(_found(session, index, vector, 50, where=where, threshold=0)) == len(every)


@pytest.mark.contrib
@pytest.mark.parametrize("passing", [1, 500, 2000])
def test_few_that_pass_are_compared_one_by_one_without_the_graph(
    passing: int, session: Session
) -> None:
    statement = nearest(Sound.l2, ASKED[0], 10, where=[Sound.id < passing])
    with reported(session, "force_generic_plan", analyze=True) as plans:
        found = [row.id for row in session.execute(statement)]
    assert found == _exact(Sound.l2, ASKED[0], 10, passing)
    assert _scans(plans, "ix_l2") == 0


@pytest.mark.contrib
def test_many_that_pass_are_found_by_the_graph_alone(session: Session) -> None:
    statement = nearest(Sound.l2, ASKED[0], 10, where=[Sound.id < 2001])
    with reported(session, "force_generic_plan", analyze=True) as plans:
        session.execute(statement).all()
    assert _scans(plans, "ix_l2") == 1


def _scans(plan: Any, index: str) -> int:
    """Count how often an index was scanned."""
    if isinstance(plan, list):
        return sum(_scans(each, index) for each in plan)
    here = int(plan["Actual Loops"]) if plan.get("Index Name") == index else 0
    return here + _scans(plan.get("Plans", []), index)


@pytest.mark.quick
def test_a_condition_may_speak_of_another_table(session: Session) -> None:
    loud = select(Silence.id).where(Silence.id % 2 == 0)
    found = _found(session, Sound.l2, ASKED[0], 20, where=[Sound.id.in_(loud)])
    assert sorted(found) == list(range(0, 30, 2))


def test_a_filter_that_lies_far_from_what_is_asked_for_is_searched_exactly(
    session: Session,
) -> None:
    far = _exact(Sound.l2, ASKED[0], ROWS)[-20:]
    found = _found(session, Sound.l2, ASKED[0], 10, where=[Sound.id.in_(far)])
    assert found == far[:10]


def test_no_row_comes_when_none_passes(session: Session) -> None:
    assert _found(session, Sound.l2, ASKED[0], 10, where=[Sound.id < 0]) == []
    assert _found(session, Sound.l2, ASKED[0], 0) == []
    with pytest.raises(ValueError, match="limit"):
        nearest(Sound.l2, ASKED[0], -1)


def test_several_conditions_all_hold(session: Session) -> None:
    conditions: list[ColumnElement[bool]] = [Sound.id % 2 == 0, Sound.kind == "quiet"]
    found = _found(session, Sound.cosine, ASKED[0], 50, where=conditions)
    assert len(found) == 50
    assert all(number % 2 == 0 and number >= LOUD for number in found)


def test_a_partial_index_finds_its_own_rows(session: Session) -> None:
    statement = nearest(Sound.loud, ASKED[0], 10)
    assert indexes_used(session.scalar(Explain(statement)))[0] == "ix_loud"
    for vector in ASKED[:5]:
        found = _found(session, Sound.loud, vector, 10)
        assert len(set(found) & set(_exact(Sound.cosine, vector, 10, LOUD))) >= 8
    assert len(_found(session, Sound.loud, ASKED[0], 1000)) == LOUD


@pytest.mark.parametrize("index", [Sound.prefix, Sound.bits], ids=lambda index: str(index.name))
def test_a_coarse_index_finds_more_the_more_it_gives(index: HnswIndex, session: Session) -> None:
    def recall(oversampling: int) -> int:
        return sum(
            len(
                set(_found(session, index, vector, 10, oversampling=oversampling))
                & set(_exact(index, vector, 10))
            )
            for vector in ASKED
        )

    assert recall(1) < recall(8) < recall(120)
    assert recall(ROWS // 10) == 200


@pytest.mark.parametrize("breadth", [None, 1, 40, 1000, 5000, 0, -1])
def test_any_breadth_finds_k_rows(breadth: int | None, session: Session) -> None:
    assert len(_found(session, Sound.cosine, ASKED[0], 20, ef_search=breadth)) == 20


def test_more_breadth_finds_no_less(session: Session) -> None:
    def recall(breadth: int) -> int:
        return sum(
            len(
                set(_found(session, Sound.cosine, vector, 10, ef_search=breadth))
                & set(_exact(Sound.cosine, vector, 10))
            )
            for vector in ASKED
        )

    assert recall(1000) >= recall(10)
    assert recall(1000) >= 199


@every_metric
@pytest.mark.parametrize(
    "vector", [np.ones(DIMENSIONS - 1), [], [float("nan")] * DIMENSIONS, "x" * DIMENSIONS]
)
def test_a_vector_that_does_not_fit_is_refused_before_anything_is_sent(
    index: HnswIndex, vector: ArrayLike
) -> None:
    with pytest.raises(VectorError):
        nearest(index, vector)


def test_settings_do_not_leak_through_a_pool(database_url: URL) -> None:
    names = ("hnsw.ef_search", "hnsw.iterative_scan", "hnsw.max_scan_tuples")
    shown = select(func.pg_backend_pid(), *(func.current_setting(name) for name in names))
    pool = create_binary_engine(database_url, poolclass=QueuePool, pool_size=1, max_overflow=0)
    with pool.connect() as connection:
        connection.execute(text("LOAD 'vector'"))
        before = connection.execute(shown).one()
        connection.execute(nearest(Sound.cosine, ASKED[0]))
        assert connection.execute(shown).one() != before
    for ends in ("commit", "rollback"):
        with pool.connect() as connection:
            connection.execute(nearest(Sound.cosine, ASKED[0]))
            getattr(connection, ends)()
            assert connection.execute(shown).one() == before
    pool.dispose()


def test_the_caller_s_own_settings_do_not_matter(session: Session) -> None:
    session.execute(text("SET LOCAL hnsw.ef_search = 1"))
    session.execute(text("SET LOCAL hnsw.iterative_scan = off"))
    assert len(_found(session, Sound.cosine, ASKED[0], 50)) == 50


def test_vectors_without_a_direction_come_last_with_no_score(session: Session) -> None:
    found = session.execute(nearest(Silence.hnsw, [1, 0], 30)).all()
    assert len({row.id for row in found}) == 30
    assert [row.score for row in found] == [1.0] * 20 + [0.0] * 10
    assert all(row.id % 3 == 0 for row in found[20:])


def test_a_vector_without_a_direction_is_near_to_nothing(session: Session) -> None:
    found = session.execute(nearest(Silence.hnsw, [0, 0], 10)).all()
    assert len(found) == 10
    assert {row.score for row in found} == {0.0}


@pytest.mark.quick
@pytest.mark.parametrize("index", [Sound.cosine, Sound.product], ids=lambda index: str(index.name))
def test_the_nearest_come_first_even_where_scores_are_all_one_or_zero(
    index: HnswIndex, session: Session
) -> None:
    found = nearest(index, ASKED[0], ROWS)
    shown = session.execute(with_payload(select(Sound.id), found, index)).all()
    distances = _distances(index, ASKED[0])[[number for number, _ in shown]]
    assert np.all(np.diff(distances) >= -1e-4)
