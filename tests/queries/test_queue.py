"""A table as a queue: nothing twice, nothing lost, in order."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, DateTime, Engine, ForeignKey, Index, Text, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgmodern.queries import Queue, acknowledge, claim
from pgmodern.queries.explain import Explain, indexes_used

START = datetime(2026, 1, 1, tzinfo=UTC)


class Base(DeclarativeBase):
    """The metadata of this file."""


class Owner(Base):
    """Whose jobs they are."""

    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)


class Job(Base):
    """Something to do."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("owners.id"))
    due: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    title: Mapped[str] = mapped_column(Text)
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    waiting = Index("ix_jobs_waiting", due, id, postgresql_where=done_at.is_(None))
    of_owner = Index("ix_jobs_of_owner", owner_id, due, id, postgresql_where=done_at.is_(None))


TABLE = Base.metadata.tables["jobs"]
LOOSE = Queue(TABLE, "done_at", ("due", "id"))
STRICT = Queue(TABLE, "done_at", ("due", "id"), within="owner_id")
PAYLOAD = select(Job.title, Job.id, Job.owner_id)
Jobs = list[tuple[int, int]]  # the owner, and when it is due


@pytest.fixture(scope="module")
def tables(engine_of_file: Engine) -> Engine:
    """An engine on a database with the two tables."""
    Base.metadata.create_all(engine_of_file)
    return engine_of_file


@pytest.fixture(scope="module")
def engine_of_file(database_url: Any) -> Iterator[Engine]:
    """An engine that outlives a test: what is claimed is claimed by several connections."""
    from pgmodern.engine import create_engine

    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def _fill(engine: Engine, jobs: Jobs) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE owners, jobs"))
        if jobs:
            owners = [{"id": owner} for owner in {owner for owner, _ in jobs}]
            connection.execute(insert(Owner), owners)
            rows = [
                {
                    "id": n,
                    "owner_id": owner,
                    "due": START + timedelta(days=day),
                    "title": f"job {n}",
                }
                for n, (owner, day) in enumerate(jobs)
            ]
            connection.execute(insert(Job), rows)


def _claim(connection: Connection, queue: Queue, batch: int) -> list[int]:
    return [row.id for row in connection.execute(claim(PAYLOAD, queue, batch))]


def _done(connection: Connection, queue: Queue, ids: list[int]) -> int:
    return connection.execute(acknowledge(queue), {"pgmodern_done": ids}).rowcount


@pytest.mark.parametrize("queue", [LOOSE, STRICT], ids=["loose", "strict"])
def test_what_waits_longest_comes_first_and_what_is_done_no_more(
    queue: Queue, tables: Engine
) -> None:
    _fill(tables, [(1, 3), (2, 1), (1, 2), (2, 1)])
    with tables.begin() as worker:
        assert worker.execute(claim(PAYLOAD, queue, 1)).all() == [("job 1", 1, 2)]
        assert _claim(worker, queue, 3) == [1, 3, 2]  # its own are not another's
        assert _done(worker, queue, [1, 3, 99]) == 2
        assert _done(worker, queue, [3]) == 0
    with tables.begin() as worker:
        assert _claim(worker, queue, 10) == [2, 0]
        assert _claim(worker, queue, 0) == []
        assert _done(worker, queue, []) == 0


@pytest.mark.quick
def test_workers_pass_over_what_others_have_and_get_what_those_gave_back(tables: Engine) -> None:
    _fill(tables, [(owner, 1) for owner in range(6)])
    with tables.connect() as one, tables.connect() as other:
        assert _claim(one, LOOSE, 2) == [0, 1]
        assert _claim(other, LOOSE, 3) == [2, 3, 4]
        _done(one, LOOSE, [0, 1])
        one.rollback()  # it died
        other.commit()  # it forgot to acknowledge
        assert _claim(one, LOOSE, 10) == [0, 1, 2, 3, 4, 5]


def test_none_overtakes_an_earlier_one_of_the_same_owner(tables: Engine) -> None:
    _fill(tables, [(1, 1), (1, 2), (2, 3), (1, 4), (2, 5)])
    with tables.connect() as one, tables.connect() as other:
        assert _claim(one, STRICT, 1) == [0]
        assert _claim(other, STRICT, 10) == [2, 4]
        _done(one, STRICT, [0])
        one.commit()
        assert _claim(one, STRICT, 10) == []  # the other has seen, and locked, the rest
        one.rollback()
        other.rollback()
        assert _claim(one, STRICT, 10) == [1, 2, 3, 4]


def test_a_claim_is_served_by_the_index_of_what_waits(tables: Engine) -> None:
    _fill(tables, [(n % 500, n) for n in range(20_000)])
    with tables.begin() as connection:
        _done(connection, LOOSE, list(range(2_000)))
    with tables.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))
    with tables.connect() as connection:
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(text(f"SET LOCAL plan_cache_mode = {mode}"))
            plan = connection.scalar(Explain(claim(PAYLOAD, STRICT, 100)))
            assert set(indexes_used(plan)) == {"ix_jobs_waiting", "ix_jobs_of_owner"}


_jobs = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), max_size=25)


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(jobs=_jobs, seed=st.integers(0, 2**32), workers=st.integers(1, 4))
def test_whoever_claims_and_dies_each_is_done_once_and_in_its_owner_s_order(
    jobs: Jobs, seed: int, workers: int, tables: Engine
) -> None:
    _fill(tables, jobs)
    chance, done = random.Random(seed), list[int]()
    with ExitStack() as stack:
        everybody = [stack.enter_context(tables.connect()) for _ in range(workers)]
        holds: dict[int, list[int]] = {n: [] for n in range(workers)}
        for _ in range(500):
            if len(done) == len(jobs):
                break
            n = chance.randrange(workers)
            if holds[n] and chance.random() < 0.7:
                _done(everybody[n], STRICT, holds[n])
                everybody[n].commit()
                done += holds[n]
                holds[n] = []
            elif holds[n] or chance.random() < 0.2:
                everybody[n].rollback()
                holds[n] = []
            else:
                everybody[n].rollback()
                holds[n] = _claim(everybody[n], STRICT, chance.randint(1, 4))
    assert sorted(done) == list(range(len(jobs)))
    for owner in {owner for owner, _ in jobs}:
        theirs = [n for n in done if jobs[n][0] == owner]
        assert theirs == sorted(theirs, key=lambda n: (jobs[n][1], n))
