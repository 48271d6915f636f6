"""The decision, of tables that are nowhere."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmodern.doctor.partitioning.advice import Advice, advise
from pgmodern.doctor.partitioning.facts import Column, Refusal, Server, Table

DAY, GIGABYTE = 86_400.0, 2**30
NOW = 20_000 * DAY
SERVER = Server(16 * GIGABYTE, "as given", NOW, days=40)
KEY = Refusal("the unique index plays_pkey does not contain the column at", "Put it there.")
AT = Column("at", True, NOW - 200 * DAY, NOW, 0.99, reads=80)
ID = Column("id", False, 5e8, 1e9, 1.0, reads=10)
LISTENER = Column("listener", False, 5e5, 1e6, 0.01, reads=5)
PLAYS = Table(
    "public", None, "plays", False, 1_000_000_000, 100 * GIGABYTE, 10**8, 0, 100,
    "pg_stat_statements", (ID, AT, LISTENER),
)  # fmt: skip


def of(*columns: Column, **changes: object) -> Advice:
    """Return the advice on plays as they would be then."""
    table = replace(PLAYS, **changes)  # type: ignore[arg-type]
    return advise(replace(table, columns=columns) if columns else table, SERVER)


@pytest.mark.quick
def test_a_large_table_that_is_asked_by_time_is_partitioned_by_it() -> None:
    advice = of()
    assert (advice.verdict, advice.column, advice.interval) == ("yes", "at", "1 week")
    assert advice.reason == (
        "with its indexes it has 100 GB, more than the memory of 16 GB (as given), and 80 % of its "
        "reads (pg_stat_statements) compare at with a value"
    )
    assert advice.upgrade == (
        "op.partition_table_online('plays', 'at', interval='1 week', ahead=3)"
    )
    assert advice.downgrade == "op.unpartition_table_online('plays')"
    assert "17,500,000 rows" in advice.consequences[0]
    assert advice.consequences[1].startswith("20 % of the reads do not compare at")


@pytest.mark.quick
def test_what_the_operation_would_refuse_comes_first() -> None:
    advice = of(replace(AT, refusals=(KEY,)))
    assert (advice.verdict, advice.column, advice.obstacles) == ("blocked", "at", (KEY,))
    assert advice.upgrade is None
    assert advice.interval == "1 week"


def test_a_number_is_divided_by_too() -> None:
    advice = of(replace(ID, reads=90), LISTENER)
    assert (advice.verdict, advice.column) == ("yes", "id")
    assert advice.interval == "20000000"


def test_a_free_column_is_taken_before_one_that_is_compared_more() -> None:
    assert of(replace(AT, refusals=(KEY,)), replace(ID, reads=60)).column == "id"
    assert of(replace(AT, refusals=(KEY,)), replace(ID, reads=20)).column == "at"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("columns", "changes", "verdict", "reason"),
    [
        ((AT,), {"bytes": 12 * GIGABYTE, "deleted": 10**8}, "no", "fits into the memory of 16 GB"),
        ((AT,), {"bytes": 5 * GIGABYTE}, "no", "; it grows by"),
        ((AT,), {"bytes": 12 * GIGABYTE}, "not yet", "for another 4 months as it grows now"),
        ((LISTENER,), {}, "no", "new rows do not have the highest listener"),
        ((replace(AT, reads=3),), {}, "no", "only 3 % of its reads"),
        ((replace(AT, reads=3, removals=1),), {}, "yes", "rows are deleted by it"),
        ((replace(AT, middle=NOW - 900 * DAY, high=NOW - 500 * DAY),), {}, "no", "nothing was add"),
        ((replace(AT, middle=NOW - 100_000 * DAY),), {}, "no", "a year only"),
        ((replace(AT, middle=NOW - 100),), {}, "no", "do not tell how fast"),
        ((replace(ID, reads=90, high=9e18),), {}, "no", "do not tell how fast"),
        ((replace(ID, reads=90),), {"inserted": 0}, "no", "do not tell how fast"),
        ((replace(AT, middle=None, high=None),), {}, "not known", "no statistics of at"),
        ((AT,), {"rows": None}, "not known", "no statistics"),
        ((AT,), {"reads": 0}, "not known", "nothing has read it"),
        ((), {"columns": ()}, "no", "no column of times"),
        ((), {"is_partitioned": True}, "no", "partitioned already"),
    ],
)  # fmt: skip
def test_where_it_does_not_pay_it_says_why(
    columns: tuple[Column, ...], changes: dict[str, object], verdict: str, reason: str
) -> None:
    advice = of(*columns, **changes)
    assert (advice.verdict, reason in advice.reason) == (verdict, True), advice.reason
    assert (advice.upgrade is not None) == (verdict == "yes")


@pytest.mark.quick
def test_rows_that_are_dated_ahead_are_said_and_do_not_make_it_look_slow() -> None:
    advice = of(replace(AT, high=NOW + 300_000 * DAY))
    assert (advice.verdict, advice.interval) == ("yes", "1 week")
    assert "Rows are dated ahead, to 2846" in advice.consequences[-1]
    assert "to inf s" in of(replace(AT, high=float("inf"))).consequences[-1]


NUMBERS = st.none() | st.floats(allow_nan=False) | st.floats(0, NOW)


def columns(middle: st.SearchStrategy[float | None], high: st.SearchStrategy[float | None]) -> Any:
    """Return columns whose values lie there."""
    return st.builds(
        Column,
        name=st.sampled_from(["a", "b", "c"]),
        is_time=st.booleans(),
        middle=middle,
        high=high,
        correlation=st.none() | st.sampled_from([-1.0, 0.0, 0.9, 1.0, 1.0]),
        reads=st.integers(0, 100),
        removals=st.integers(0, 1),
        refusals=st.sampled_from([(), (), (KEY,)]),
    )


COLUMNS = columns(NUMBERS, NUMBERS) | columns(
    st.floats(NOW - 900 * DAY, NOW - 5 * DAY), st.floats(NOW - 2 * DAY, NOW + 100 * DAY)
)
TABLES = st.builds(
    Table,
    schema=st.just("public"),
    qualifier=st.none() | st.just("app"),
    name=st.just("plays"),
    is_partitioned=st.sampled_from([False, False, False, True]),
    rows=st.none() | st.integers(0, 10**10) | st.integers(10**6, 10**10),
    bytes=st.integers(0, 2**41) | st.integers(2**36, 2**44),
    inserted=st.integers(0, 10**10),
    deleted=st.integers(0, 10**10),
    reads=st.integers(0, 200),
    source=st.just("scans"),
    columns=st.lists(COLUMNS, max_size=3, unique_by=lambda each: each.name).map(tuple),
)
SERVERS = st.builds(
    Server,
    memory=st.integers(1, 2**41) | st.integers(2**30, 2**38),
    source=st.just("as given"),
    now=st.just(NOW),
    days=st.floats(0, 1000),
)


# Some twenty of them are yes, the first of which registers the operations.
@settings(max_examples=1000, deadline=None)
@given(TABLES, SERVERS)
def test_never_yes_below_the_size_nor_where_it_would_be_refused(
    table: Table, server: Server
) -> None:
    advice = advise(table, server)
    assert advice.reason
    if advice.verdict in {"yes", "blocked"}:
        assert table.bytes >= server.memory
        assert not table.is_partitioned
        (column,) = (each for each in table.columns if each.name == advice.column)
        assert (advice.verdict == "blocked") == bool(column.refusals)
        assert advice.interval is not None
        assert advice.partitions_a_year is not None
        assert 1 <= advice.partitions_a_year <= 366
    assert (advice.upgrade is not None) == (advice.verdict == "yes")


@given(TABLES, SERVERS)
def test_more_memory_never_makes_it_pay(table: Table, server: Server) -> None:
    if advise(table, server).verdict not in {"yes", "blocked"} and table.bytes < server.memory:
        more = replace(server, memory=2 * server.memory)
        assert advise(table, more).verdict in {"no", "not yet"}
