"""Nearest neighbours in stages: as good as the vectors allow, as many as were asked for."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import URL, ColumnElement, create_engine, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from pgmodern.extensions import create_sql
from pgmodern.indexes import HnswIndex
from pgmodern.indexes.hnsw import Metric
from pgmodern.queries import Stage, staged, with_payload
from pgmodern.testing.databases import database
from pgmodern.types import HalfVector, Vector

pytestmark = pytest.mark.vector

ROWS, WHOLE, PREFIX = 3000, 32, 8


class Base(DeclarativeBase):
    """The metadata of this file."""


class Scent(Base):
    """A vector, and its first dimensions; the key is of two columns."""

    __tablename__ = "scents"

    house: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    whole: Mapped[Any] = mapped_column(Vector(WHOLE))
    prefix: Mapped[Any] = mapped_column(HalfVector(PREFIX))
    whole_hnsw = HnswIndex("ix_whole", whole)
    prefix_hnsw = HnswIndex("ix_prefix", prefix)
    whole_l2 = HnswIndex("ix_whole_l2", whole, metric="l2")
    prefix_l2 = HnswIndex("ix_prefix_l2", prefix, metric="l2")


def _vectors(seed: int, count: int) -> NDArray[np.float32]:
    normal = np.random.default_rng(seed).normal(size=(count, WHOLE))
    return np.asarray(normal / np.arange(1, WHOLE + 1), np.float32)


VECTORS, ASKED = _vectors(1, ROWS), _vectors(2, 20)


@pytest.fixture(scope="module")
def database_url(postgres_url: URL) -> Iterator[URL]:
    """A database with three thousand vectors."""
    with database(postgres_url) as url:
        engine = create_engine(url, poolclass=NullPool)
        scents = Base.metadata.tables["scents"]
        rows = [
            {"house": n % 7, "id": n, "whole": vector, "prefix": vector[:PREFIX]}
            for n, vector in enumerate(VECTORS)
        ]
        with engine.begin() as connection:
            connection.execute(text(create_sql("vector")))
            connection.execute(CreateTable(scents))
            connection.execute(insert(Scent), rows)
            # To insert into an HNSW index row by row takes much longer than to build it.
            for index in scents.indexes:
                index.create(connection)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE scents"))
        yield url


def _stages(vector: NDArray[np.float32], keep: int, k: int, metric: Metric) -> list[Stage]:
    cosine = metric == "cosine"
    prefix = Scent.prefix_hnsw if cosine else Scent.prefix_l2
    whole = Scent.whole_hnsw if cosine else Scent.whole_l2
    return [
        Stage(prefix, prefix.literal(vector[:PREFIX]), keep),
        Stage(whole, whole.literal(vector), k),
    ]


def _found(
    session: Session,
    vector: NDArray[np.float32],
    k: int = 10,
    *where: ColumnElement[bool],
    keep: int = 60,
    metric: Metric = "cosine",
) -> list[int]:
    statement = staged(_stages(vector, keep, k, metric), where=where)
    return [row.id for row in session.execute(statement)]


def _exact(
    vector: NDArray[np.float32], k: int, metric: Metric = "cosine", below: int = ROWS
) -> list[int]:
    some = VECTORS[:below]
    distance = (
        -(some @ vector) / np.linalg.norm(some, axis=1)
        if metric == "cosine"
        else np.linalg.norm(some - vector, axis=1)
    )
    return [int(number) for number in np.argsort(distance, kind="stable")[:k]]


METRICS: list[Metric] = ["cosine", "l2"]


@pytest.mark.parametrize("metric", METRICS)
def test_the_coarse_stage_is_served_by_its_index(
    metric: Metric, session: Session, assert_uses_index: Callable[..., None]
) -> None:
    statement = staged(_stages(ASKED[0], 60, 10, metric))
    coarse = Scent.prefix_hnsw if metric == "cosine" else Scent.prefix_l2
    assert_uses_index(session, lambda: session.execute(statement), coarse)


@pytest.mark.parametrize("metric", METRICS)
def test_the_nearest_by_the_whole_are_found_by_way_of_the_prefix(
    metric: Metric, session: Session
) -> None:
    same = sum(
        len(set(_found(session, vector, metric=metric)) & set(_exact(vector, 10, metric)))
        for vector in ASKED
    )
    assert same >= 9 * len(ASKED)
    prefixes = sum(
        len(set(_found(session, vector, keep=10, metric=metric)) & set(_exact(vector, 10, metric)))
        for vector in ASKED
    )
    assert prefixes < same  # what the stages are for


def test_the_order_is_that_of_the_whole_and_scores_descend(session: Session) -> None:
    for vector in ASKED[:5]:
        found = session.execute(staged(_stages(vector, 60, 10, "cosine"))).all()
        score = VECTORS @ vector / np.linalg.norm(VECTORS, axis=1) / np.linalg.norm(vector)
        assert [row.score for row in found] == pytest.approx(
            [max(0, score[row.id]) for row in found], abs=1e-5
        )
        assert [row.score for row in found] == sorted((r.score for r in found), reverse=True)


@pytest.mark.parametrize("passing", [0, 1, 5, 50, 500, ROWS])
@pytest.mark.parametrize("k", [0, 1, 10, 60])
def test_k_rows_come_whenever_k_rows_pass_and_of_few_the_very_nearest(
    k: int, passing: int, session: Session
) -> None:
    for vector in ASKED[:3]:
        found = _found(session, vector, k, Scent.id < passing)
        assert len(found) == len(set(found)) == min(k, passing)
        assert all(number < passing for number in found)
        if passing <= 50:
            assert found == _exact(vector, k, below=passing)


@pytest.mark.parametrize("keep", [500, 1_500, ROWS, 10**6])
def test_more_may_be_kept_than_any_breadth_and_than_there_are(keep: int, session: Session) -> None:
    found = _found(session, ASKED[0], 400, keep=keep)
    assert len(set(found)) == 400
    if keep >= ROWS:
        assert found == _exact(ASKED[0], 400)


def test_what_is_kept_may_be_less_than_what_is_asked_for_of_the_last_stage(
    session: Session,
) -> None:
    assert len(_found(session, ASKED[0], 10, keep=5)) == 5


def test_there_may_be_three_stages_and_the_rows_may_be_shown(session: Session) -> None:
    first, last = _stages(ASKED[0], 90, 10, "cosine")
    middle = Stage(last.index, last.sought, 30)
    found = with_payload(select(Scent.id), staged([first, middle, last]), Scent.whole_hnsw)
    assert [row.id for row in session.execute(found)] == _found(session, ASKED[0], keep=90)
