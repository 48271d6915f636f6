"""Tuning an index: the cheapest search that reaches a recall, found by the table's own rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import URL, create_engine, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern import tuning
from pgmodern.errors import VectorError
from pgmodern.indexes import HnswIndex
from pgmodern.repositories import VectorRepository
from pgmodern.testing.databases import database
from pgmodern.tuning import tune
from pgmodern.types import Vector

ROWS, DIMENSIONS = 3_000, 24


class Base(DeclarativeBase):
    """The metadata of this file."""


class Stone(Base):
    """Vectors, some of them twice, some missing."""

    __tablename__ = "stones"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int] = mapped_column()
    shape: Mapped[Any | None] = mapped_column(Vector(DIMENSIONS))
    hnsw = HnswIndex("ix_hnsw", shape, m=4, ef_construction=16)
    product = HnswIndex("ix_product", shape, metric="inner_product")
    bits = HnswIndex("ix_bits", shape, quantised=True, oversampling=1)
    partial = HnswIndex("ix_partial", shape, where=kind == 1)


class Pebble(Base):
    """No vector at all."""

    __tablename__ = "pebbles"

    id: Mapped[int] = mapped_column(primary_key=True)
    shape: Mapped[Any | None] = mapped_column(Vector(DIMENSIONS))
    hnsw = HnswIndex('ix"pebbles', shape)


INDEXES = [Stone.hnsw, Stone.product, Stone.bits, Stone.partial]
DECLARED = {index: (index.ef_search, index.oversampling) for index in [*INDEXES, Pebble.hnsw]}


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with some stones; every test rolls back what it did."""
    with database(postgres_url, template_database) as url:
        vectors = np.random.default_rng(3).normal(size=(ROWS, DIMENSIONS)).astype(np.float32)
        rows = [
            {"id": n, "kind": n % 3, "shape": None if n % 50 == 0 else vectors[n // 2]}
            for n in range(ROWS)
        ]
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            connection.execute(insert(Stone), rows)
            connection.execute(text("ANALYZE stones"))
        yield url


@pytest.fixture(autouse=True)
def as_declared() -> Iterator[None]:
    """Leave the declared indexes as they were."""
    yield
    for index, declared in DECLARED.items():
        index.ef_search, index.oversampling = declared


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: str(index.name))
def test_the_recall_is_reached_used_and_stored(index: HnswIndex, session: Session) -> None:
    told: list[int] = []
    found = tune(session, index, 0.9, queries=30, advance=told.append)
    assert found.recall >= 0.9
    assert found.milliseconds > 0
    assert sum(told) == 30
    assert (index.ef_search, index.oversampling) == (found.ef_search, found.oversampling)
    index.ef_search = index.oversampling = 7
    assert tuning.load(session, index) == {str(index.name): found}
    assert (index.ef_search, index.oversampling) == (found.ef_search, found.oversampling)


def test_more_recall_takes_a_broader_search(session: Session) -> None:
    few = tune(session, Stone.bits, 0.5, queries=30).oversampling
    assert few < tune(session, Stone.bits, 0.97, queries=30).oversampling
    few = tune(session, Stone.hnsw, 0.3, queries=30).ef_search
    assert few <= tune(session, Stone.hnsw, 0.95, queries=30).ef_search


def test_questions_of_ones_own_are_asked_instead(session: Session) -> None:
    told: list[int] = []
    questions = np.random.default_rng(4).normal(size=(7, DIMENSIONS))
    found = tune(session, Stone.hnsw, 0.9, questions=list(questions), advance=told.append)
    assert sum(told) == len(questions)
    assert found.recall * len(questions) * found.k == pytest.approx(
        round(found.recall * len(questions) * found.k)
    )
    with pytest.raises(VectorError, match="dimensions"):
        tune(session, Stone.hnsw, 0.9, questions=[[1.0, 2.0]])


def test_what_is_asked_for_is_no_row(session: Session) -> None:
    rows = [np.array(row, np.float32) for row in ([2, 0], [0, 8], [0, 0])]
    assert np.array_equal(tuning.halfways(rows, unit=True), [[0.5, 0.5], [0.5, 0.5]])
    assert np.array_equal(tuning.halfways(rows, unit=False), [[1, 4], [0, 4], [1, 0]])
    assert np.array_equal(tuning.halfways(rows[:1], unit=False), [[2, 0]])
    assert tuning.halfways([], unit=True) == []


class StoneRepository(VectorRepository[tuple[Any, ...]]):
    """Stones by their shape."""

    row, payload = (lambda *row: row), select(Stone.id)
    vectors = Stone.bits


def test_what_is_tuned_is_what_a_repository_searches_by(session: Session) -> None:
    vector = np.random.default_rng(9).normal(size=DIMENSIONS)
    exact = [
        row[0] for row in StoneRepository(session).nearest(vector, oversampling=ROWS // 10 + 1)
    ]
    coarse = [row[0] for row in StoneRepository(session).nearest(vector)]
    Stone.bits.oversampling = ROWS // 10 + 1
    assert [row[0] for row in StoneRepository(session).nearest(vector)] == exact != coarse


def test_a_comment_keeps_what_else_it_says(session: Session) -> None:
    said = "of ours: 100%, it''s :so\nsecond"
    session.connection().exec_driver_sql(f"COMMENT ON INDEX ix_bits IS '{said.replace('%', '%%')}'")
    shown = text("SELECT obj_description('ix_bits'::regclass, 'pg_class')")
    for _ in range(2):
        tune(session, Stone.bits, 0.5, queries=5)
        comment = session.scalar(shown) or ""
        assert comment.startswith("of ours: 100%, it's :so\nsecond\npgmodern: {")
        assert comment.count("pgmodern:") == 1


@pytest.mark.quick
def test_what_cannot_be_reached_changes_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "_OVERSAMPLINGS", (1,))
    with pytest.raises(VectorError, match=r"ix_bits reaches a recall of 0\.\d+, not of 0\.99"):
        tune(session, Stone.bits, 0.99, queries=20)
    assert (Stone.bits.ef_search, Stone.bits.oversampling) == DECLARED[Stone.bits]
    assert tuning.load(session, Stone.bits, Pebble.hnsw) == {}


def test_a_table_without_vectors_is_refused(session: Session) -> None:
    with pytest.raises(VectorError, match="pebbles holds no vector"):
        tune(session, Pebble.hnsw)


@pytest.mark.quick
@pytest.mark.parametrize("recall", [0, -1, 1.01, float("nan")])
def test_a_recall_is_a_part(recall: float, session: Session) -> None:
    with pytest.raises(ValueError, match="recall"):
        tune(session, Stone.hnsw, recall)
