"""Counts: exact where rows are few, else estimates that say so."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Engine, Text, create_engine, event, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.queries.counts import estimated
from pgmodern.queries.explain import Explain
from pgmodern.repositories import AsyncCountRepository, CountRepository
from pgmodern.testing.databases import database
from tests.plans import reported

VISITS = 5_000


class Base(DeclarativeBase):
    """The metadata of this file."""


class Visit(Base):
    """A table of an application, in a schema and by a name that need quotes."""

    __tablename__ = 'odd "visits"'
    __table_args__ = {"schema": "Of all"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)


class Day(Base):
    """A table in partitions of a hundred days."""

    __tablename__ = "days"
    __table_args__ = {"postgresql_partition_by": "RANGE (id)"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)


class Fresh(Base):
    """A table that nobody has analyzed yet, which autovacuum is kept from."""

    __tablename__ = "fresh"

    id: Mapped[int] = mapped_column(primary_key=True)


class Growing(Base):
    """A table that tests add rows to, which remain as dead ones."""

    __tablename__ = "growing"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)


class Visits(CountRepository):
    counted = select(Visit.id)


class AsyncVisits(AsyncCountRepository):
    counted = select(Visit.id)


class Days(CountRepository):
    counted = select(Day.id)


class GrowingOnes(CountRepository):
    counted = select(Growing.id)


class FreshOnes(CountRepository):
    counted = select(Fresh.id)


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with visits of two kinds, one of them rare, all analyzed."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text('CREATE SCHEMA "Of all"'))
            Base.metadata.create_all(connection)
            for first in range(0, 3000, 1000):
                connection.execute(
                    text(
                        f"CREATE TABLE days_{first} PARTITION OF days "
                        f"FOR VALUES FROM ({first}) TO ({first + 1000})"
                    )
                )
            kinds = [{"id": n, "kind": "rare" if n % 100 == 0 else "often"} for n in range(VISITS)]
            connection.execute(insert(Visit), kinds)
            connection.execute(insert(Day), [{"id": n} for n in range(2500)])
            connection.execute(insert(Growing), kinds)
            for table in ("fresh", "growing"):
                connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
            connection.execute(text('ANALYZE "Of all"."odd ""visits""", days, growing'))
        yield url


def _now(session: Session) -> datetime:
    now: datetime = session.execute(select(func.now())).scalar_one()
    return now


def test_a_whole_table_is_estimated_and_says_how_old_that_is(session: Session) -> None:
    count = Visits(session).estimated_count()
    assert (count.count, count.is_estimate) == (VISITS, True)
    assert count.as_of is not None
    assert count.as_of < _now(session)


def test_what_meets_a_condition_is_estimated_by_the_planner(session: Session) -> None:
    count = Visits(session).estimated_count(Visit.kind == "often")
    assert count.is_estimate
    assert count.count == pytest.approx(VISITS * 0.99, rel=0.02)


def test_few_are_counted_as_of_now(session: Session) -> None:
    before = _now(session)
    count = Visits(session).estimated_count(Visit.kind == "rare")
    assert (count.count, count.is_estimate) == (50, False)
    assert count.as_of is not None
    assert count.as_of >= before
    nothing = Visits(session).estimated_count(Visit.kind == "'; DROP TABLE days; --")
    assert (nothing.count, nothing.is_estimate) == (0, False)
    assert Visits(session).estimated_count(Visit.id < 0, Visit.id > 0).count == 0


@pytest.mark.parametrize(
    ("exact_below", "is_estimate"), [(0, True), (50, True), (51, False), (VISITS + 1, False)]
)
def test_fewer_than_the_threshold_are_counted(
    session: Session, exact_below: int, is_estimate: bool
) -> None:
    count = Visits(session).estimated_count(Visit.kind == "rare", exact_below=exact_below)
    assert count.is_estimate == is_estimate
    assert count.count >= 50 if exact_below else count.count > 0
    with pytest.raises(ValueError, match="limit"):
        Visits(session).estimated_count(exact_below=-1)


def test_what_is_not_flushed_or_not_committed_is_counted(session: Session) -> None:
    session.add(Growing(id=VISITS, kind="rare"))
    assert GrowingOnes(session).estimated_count(Growing.kind == "rare").count == 51


def _grow(session: Session, kind: str) -> None:
    rows = [{"id": number, "kind": kind} for number in range(VISITS, 2 * VISITS)]
    session.execute(insert(Growing), rows)


def test_an_estimate_that_is_too_low_is_at_least_what_was_counted(session: Session) -> None:
    _grow(session, "new")
    count = GrowingOnes(session).estimated_count(Growing.kind == "new", exact_below=300)
    assert (count.count, count.is_estimate) == (300, True)


def test_an_estimate_grows_with_the_table(session: Session) -> None:
    before = GrowingOnes(session).estimated_count()
    _grow(session, "often")
    after = GrowingOnes(session).estimated_count()
    assert before.is_estimate
    assert after.is_estimate
    assert after.as_of == before.as_of
    assert after.count - before.count == pytest.approx(VISITS, rel=0.1)


def test_partitions_are_added_up_and_only_those_asked_for(session: Session) -> None:
    whole = Days(session).estimated_count()
    assert (whole.count, whole.is_estimate, whole.as_of is None) == (2500, True, False)
    some = Days(session).estimated_count(Day.id >= 1000, exact_below=0)
    assert (some.count, some.is_estimate) == (1500, True)
    none = Days(session).estimated_count(Day.id > 10_000)
    assert (none.count, none.is_estimate) == (0, False)


@pytest.mark.parametrize("there", [0, 1, 999])
def test_a_table_that_was_never_analyzed_is_counted_while_it_is_small(
    session: Session, there: int
) -> None:
    session.execute(text(f"INSERT INTO fresh SELECT generate_series(1, {there})"))
    expected = estimated(session.scalar(Explain(select(Fresh.id), verbose=True)))
    assert expected.rows > 1_000  # so the planner guesses
    count = FreshOnes(session).estimated_count()
    assert (count.count, count.is_estimate) == (there, False)


def test_a_table_that_was_never_analyzed_is_estimated_by_its_size_alone(session: Session) -> None:
    session.execute(text("INSERT INTO fresh SELECT generate_series(1, 100000)"))
    count = FreshOnes(session).estimated_count()
    assert (count.is_estimate, count.as_of) == (True, None)
    assert 50_000 < count.count < 200_000


def test_of_several_tables_the_oldest_statistics_count(session: Session) -> None:
    class Both(CountRepository):
        counted = select(Visit.id).join_from(Visit, Day, Visit.id == Day.id)

    class WithFresh(CountRepository):
        counted = select(Visit.id).join_from(Visit, Fresh, Visit.id == Fresh.id)

    both, visits = Both(session).estimated_count(), Visits(session).estimated_count()
    assert both.is_estimate
    assert both.as_of is not None
    assert visits.as_of is not None
    assert both.as_of <= visits.as_of
    count = WithFresh(session).estimated_count(exact_below=0)
    assert (count.is_estimate, count.as_of) == (True, None)


def test_two_statements_are_sent(session: Session, engine: Engine) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    Visits(session).estimated_count()
    assert len(sent) == 2


def _scanned(node: Any) -> Iterator[int]:
    if node.get("Relation Name") == Visit.__tablename__ and "Actual Loops" in node:
        yield node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)


@pytest.mark.parametrize(("exact_below", "loops"), [(VISITS, 0), (VISITS + 1, 1)])
def test_no_row_is_read_for_an_estimate(session: Session, exact_below: int, loops: int) -> None:
    with reported(session, "auto", analyze=True) as plans:
        Visits(session).estimated_count(exact_below=exact_below)
    assert [loop for plan in plans for loop in _scanned(plan)] == [loops]


@pytest.mark.quick
@pytest.mark.parametrize("exact_below", [0, 1_000])
async def test_both_twins_answer_the_same(
    session: Session, async_session: AsyncSession, exact_below: int
) -> None:
    for condition in (Visit.kind == "often", Visit.kind == "rare"):
        ours = Visits(session).estimated_count(condition, exact_below=exact_below)
        theirs = await AsyncVisits(async_session).estimated_count(
            condition, exact_below=exact_below
        )
        assert (ours.count, ours.is_estimate) == (theirs.count, theirs.is_estimate)


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(-10, VISITS + 10), st.integers(0, VISITS + 10), st.integers(0, 2_000))
def test_a_count_that_is_not_an_estimate_is_true(
    session: Session, low: int, width: int, exact_below: int
) -> None:
    count = Visits(session).estimated_count(
        Visit.id.between(low, low + width), exact_below=exact_below
    )
    truth = len(range(max(low, 0), min(low + width, VISITS - 1) + 1))
    assert count.is_estimate or count.count == truth < exact_below
    assert count.count >= min(truth, exact_below) or count.is_estimate


@pytest.mark.parametrize(
    ("plan", "rows", "tables"),
    [
        ([{"Plan": {"Node Type": "Result", "Plan Rows": 0}}], 0, ()),
        (
            [
                {
                    "Plan": {
                        "Plan Rows": 7,
                        "Plans": [
                            {"Relation Name": "a", "Schema": "s", "Plan Rows": 1},
                            {"Relation Name": 'b"', "Plan Rows": 2},
                            {"Relation Name": "a", "Schema": "s", "Plan Rows": 3},
                        ],
                    }
                }
            ],
            7,
            ('"s"."a"', '"b"""'),
        ),
    ],
)
def test_a_plan_says_how_many_rows_of_which_tables(
    plan: Any, rows: int, tables: tuple[str, ...]
) -> None:
    found = estimated(plan)
    assert (found.rows, found.tables) == (rows, tables)
