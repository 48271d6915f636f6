"""Bulk loads by COPY into a temporary table."""

import enum
import math
import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    cast,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, REAL
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from pgmodern.errors import VectorError
from pgmodern.queries.staging import Staging, count_of
from pgmodern.types import HalfVector, Vector

METADATA = MetaData()
NOTES = Table(
    "notes % \"odd'",
    METADATA,
    Column("the id %s", BigInteger, primary_key=True),
    Column('wo"rds', Text),
    Column("vector", Vector(2)),
    Column("untouched", Integer, server_default="7"),
)
WORDS = NOTES.c['wo"rds']
COLUMNS = ["the id %s", 'wo"rds', "vector"]
PAIRS = Table(
    "pairs",
    METADATA,
    Column("a", Integer, nullable=False),
    Column("b", Text),
    UniqueConstraint("a", "b"),
)


@pytest.fixture
def notes(session: Session) -> Session:
    """A session that has the tables."""
    METADATA.create_all(session.connection())
    return session


def _driver(session: Session) -> psycopg.Connection[Any]:
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _load(session: Session, staging: Staging, rows: Iterable[Sequence[Any]]) -> int:
    session.execute(staging.create)
    with _driver(session).cursor() as cursor, cursor.copy(staging.copy.encode()) as copy:
        for row in staging.encoded(rows):
            copy.write_row(row)
    stored = session.execute(staging.merge)
    session.execute(staging.drop)
    return count_of(stored)


def _staging() -> Staging:
    return Staging(NOTES, COLUMNS, ["the id %s"])


def _held(session: Session) -> list[tuple[int, str | None]]:
    return [
        (key, words) for key, words in session.execute(select(*NOTES.c[:2]).order_by(*NOTES.c[:1]))
    ]


def test_rows_are_inserted_and_those_that_are_there_are_updated(notes: Session) -> None:
    notes.execute(insert(NOTES).values([[1, "old", [0, 0], 1], [3, "other", [0, 0], 1]]))
    assert _load(notes, _staging(), [(1, "new", [1, 2]), (2, "two", None)]) == 2
    assert _held(notes) == [(1, "new"), (2, "two"), (3, "other")]
    found = notes.execute(select(NOTES.c.vector, NOTES.c.untouched).order_by(*NOTES.c[:1])).all()
    assert [None if v is None else v.tolist() for v, _ in found] == [[1, 2], None, [0, 0]]
    assert [untouched for _, untouched in found] == [1, 7, 1]


def test_of_rows_with_the_same_key_the_last_one_counts(notes: Session) -> None:
    rows = [(number % 3, f"{number}", None) for number in range(3000)]
    assert _load(notes, _staging(), rows) == 3
    assert _held(notes) == [(0, "2997"), (1, "2998"), (2, "2999")]


def test_no_rows_are_no_work(notes: Session) -> None:
    assert _load(notes, _staging(), []) == 0
    assert _held(notes) == []


def test_a_rollback_leaves_nothing(notes: Session) -> None:
    with notes.begin_nested() as savepoint:
        _load(notes, _staging(), [(1, "one", None)])
        savepoint.rollback()
    assert _held(notes) == []


def test_several_loads_in_one_transaction_do_not_meet(notes: Session) -> None:
    _load(notes, _staging(), [(1, "one", None)])
    _load(notes, _staging(), [(2, "two", None)])
    assert _held(notes) == [(1, "one"), (2, "two")]
    assert not inspect(notes.connection()).has_table("pgmodern_staging")


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3),
            st.none()
            | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            st.none() | st.just([0.5, -1.0]),
        ),
        max_size=20,
    )
)
def test_whatever_is_stored_comes_back(notes: Session, rows: list[tuple[Any, ...]]) -> None:
    with notes.begin_nested() as savepoint:
        expected = {key: words for key, words, _ in rows}
        assert _load(notes, _staging(), rows) == len(expected)
        assert dict(_held(notes)) == expected
        savepoint.rollback()


def test_a_wrong_vector_is_refused_before_its_row_is_sent(notes: Session) -> None:
    rows = [(1, "fits", [1, 2]), (2, "does not", [1, 2, 3])]
    encoded = _staging().encoded(rows)
    assert next(encoded)[0] == 1
    with pytest.raises(VectorError, match="has 3 dimensions, the column takes 2"):
        next(encoded)
    with notes.begin_nested() as savepoint:
        with pytest.raises(VectorError):
            _load(notes, _staging(), rows)
        assert _driver(notes).info.transaction_status == TransactionStatus.INERROR
        savepoint.rollback()
    assert _held(notes) == []


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        list(_staging().encoded([(1, "too short")]))


def test_a_table_of_nothing_but_its_key_is_loaded_too(notes: Session) -> None:
    staging = Staging(PAIRS, ["a", "b"], ["a", "b"])
    notes.execute(insert(PAIRS).values(a=1, b="x"))
    _load(notes, staging, [(1, "x"), (2, "y"), (2, "y")])
    assert notes.execute(select(PAIRS).order_by(PAIRS.c.a)).all() == [(1, "x"), (2, "y")]


def test_null_in_a_key_is_never_the_same(notes: Session) -> None:
    _load(notes, Staging(PAIRS, ["a", "b"], ["a", "b"]), [(1, None), (1, None)])
    assert notes.scalar(select(func.count()).select_from(PAIRS)) == 2


NOW = datetime(2026, 2, 3, 4, 5, 6, 789_012, tzinfo=timezone(timedelta(hours=5)))
VALUES: list[tuple[TypeEngine[Any], Any]] = [
    (SmallInteger(), -32_768),
    (Integer(), 5),
    (Integer(), np.int64(5)),
    (BigInteger(), 2**63 - 1),
    (Double(), 1),
    (Double(), 0.1 + 0.2),
    (Float(), 1),
    (Float(), 1.5),
    (REAL(), 1.5),
    (Numeric(), Decimal("1.50")),
    (Numeric(), 3),
    (Boolean(), True),
    (Text(), "é % ' \\ \n\t"),
    (String(3), "abc"),
    (Uuid(), uuid.UUID(int=7)),
    (Date(), date(2026, 2, 3)),
    (DateTime(timezone=True), NOW),
    (DateTime(), NOW.replace(tzinfo=None)),
    (Interval(), timedelta(days=1, microseconds=1)),
    (LargeBinary(), b"\x00\xff"),
    (JSONB(), {"a": [1, None, "é"]}),
    (JSONB(), ["a"]),
    (JSONB(), "text"),
    (JSON(), {"a": 1}),
    (ARRAY(Integer), [1, 2, None]),
    (ARRAY(Text), ["a", 'b"']),
    (Vector(2), [1, 2]),
    (HalfVector(2), [1, 2]),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=repr)
def test_every_kind_of_column_is_loaded(
    kind: TypeEngine[Any], value: Any, session: Session
) -> None:
    table = _table(kind)
    table.create(session.connection())
    assert _load(session, Staging(table, ["id", "v"], ["id"]), [(1, value), (2, None)]) == 2
    stored, none = session.scalars(select(table.c.v).order_by(table.c.id)).all()
    assert none is None
    assert (stored.tolist() if isinstance(stored, np.ndarray) else stored) == value


def _table(kind: TypeEngine[Any]) -> Table:
    return Table("kinds", MetaData(), Column("id", Integer, primary_key=True), Column("v", kind))


def test_an_enumeration_is_loaded(session: Session) -> None:
    table = _table(Enum("red", "blue", name="colour"))
    table.create(session.connection())
    _load(session, Staging(table, ["id", "v"], ["id"]), [(1, "red")])
    assert session.scalar(select(cast(table.c.v, Text))) == "red"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("kind", "value"), [(DateTime(timezone=True), NOW.replace(tzinfo=None)), (DateTime(), NOW)]
)
def test_a_time_whose_zone_would_be_guessed_is_refused(kind: DateTime, value: datetime) -> None:
    with pytest.raises(ValueError, match="time zone"):
        list(Staging(_table(kind), ["id", "v"], ["id"]).encoded([(1, value)]))


def test_columns_are_named_by_key_and_written_by_name(notes: Session) -> None:
    odd = Table(
        "odd",
        MetaData(),
        Column('the "id"', Integer, key="number", primary_key=True),
        Column("words", Text, key="said"),
    )
    odd.create(notes.connection())
    staging = Staging(odd, ["number", "said"], ["number"])
    assert _load(notes, staging, [(1, "a"), (2, "b")]) == 2
    assert _load(notes, staging, [(2, "c")]) == 1
    held = select(odd.c.number, odd.c.said).order_by(odd.c.number)
    assert notes.execute(held).all() == [(1, "a"), (2, "c")]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SmallInteger, 2**15),
        (Integer, 2**31),
        (Integer, -(2**31) - 1),
        (BigInteger, 2**63),
        (Integer, 1.5),
        (Integer, "1"),
        (REAL, 1e39),
    ],
)
def test_a_number_that_does_not_fit_is_refused_and_never_cut_off(
    kind: type[TypeEngine[Any]], value: Any
) -> None:
    staging = Staging(Table("t", MetaData(), Column("a", kind)), ["a"], ["a"])
    with pytest.raises((ValueError, TypeError), match=r"fit|integer"):
        list(staging.encoded([[value]]))


@pytest.mark.quick
def test_the_largest_numbers_arrive_whole(notes: Session) -> None:
    kinds: list[type[TypeEngine[Any]]] = [SmallInteger, Integer, BigInteger, REAL]
    numbers = Table("n", MetaData(), *(Column(f"c{n}", kind) for n, kind in enumerate(kinds)))
    notes.execute(CreateTable(numbers))
    notes.execute(text("CREATE UNIQUE INDEX ON n (c0)"))
    rows = [(2**15 - 1, 2**31 - 1, 2**63 - 1, 3e38), (-(2**15), -(2**31), -(2**63), -math.inf)]
    assert _load(notes, Staging(numbers, list(numbers.c.keys()), ["c0"]), rows) == 2
    held = [tuple(row) for row in notes.execute(select(numbers).order_by(numbers.c.c0.desc()))]
    assert [row[:3] for row in held] == [row[:3] for row in rows]
    assert [row[3] for row in held] == pytest.approx([row[3] for row in rows])


class Secret(TypeDecorator[str]):
    """What an application stores otherwise than it is given."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002
        """Encrypt, so to speak."""
        return value and value[::-1]


class Colour(enum.Enum):
    """Stored by value."""

    BLUE = "blue as the sky"


@pytest.mark.quick
def test_what_the_application_makes_of_a_value_is_what_is_stored(notes: Session) -> None:
    colour = Enum(Colour, values_callable=lambda all_: [each.value for each in all_])
    odd = Table(
        "odd",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("s", Secret()),
        Column("c", colour),
    )
    odd.create(notes.connection())
    assert _load(notes, Staging(odd, ["id", "s", "c"], ["id"]), [(1, "abc", Colour.BLUE)]) == 1
    assert _load(notes, Staging(odd, ["id", "s", "c"], ["id"]), [(2, None, None)]) == 1
    held = notes.execute(text("SELECT s, c::text FROM odd ORDER BY id")).all()
    assert [tuple(row) for row in held] == [("cba", "blue as the sky"), (None, None)]
