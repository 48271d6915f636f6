"""sparsevec on the wire and in Python."""

from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pgvector.psycopg import register_vector
from sqlalchemy import Column, Connection, func, insert, literal, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.errors import VectorError
from pgmodern.types import SparseVector
from pgmodern.types.sparse_vector import SparseValue

pytestmark = pytest.mark.vector


class Base(DeclarativeBase):
    """The metadata of this file."""


class Words(Base):
    """Sparse vectors of five and of any number of dimensions."""

    __tablename__ = "words"

    id: Mapped[int] = mapped_column(primary_key=True)
    five: Mapped[Any | None] = mapped_column(SparseVector(5))
    any: Mapped[Any | None] = mapped_column(SparseVector())


WORDS = Base.metadata.tables["words"]
EXPECTED = SparseValue({1: 1.5, 4: -2.0}, 5)


FORMS: list[Any] = [
    EXPECTED,
    {4: -2.0, 1: 1.5, 2: 0},
    [0, 1.5, 0, 0, -2],
    (0, 1.5, 0, 0, -2),
    np.array([0, 1.5, 0, 0, -2], np.float32),
]


@pytest.mark.quick
@pytest.mark.parametrize("value", FORMS, ids=repr)
def test_every_form_comes_back_as_pgvector_s(value: Any, connection: Connection) -> None:
    stored = insert(Words).values(id=1, five=value, any=EXPECTED).returning(WORDS.c.five)
    read = [connection.execute(stored).scalar_one(), connection.scalar(select(WORDS.c.any))]
    assert all(isinstance(found, SparseValue) for found in read)
    # Before 0.4 pgvector compared sparse vectors as objects.
    assert [found.to_list() for found in read] == [EXPECTED.to_list()] * 2


def test_null_and_a_vector_of_zeros_come_back(connection: Connection) -> None:
    connection.execute(insert(Words).values(id=1, five=None, any=SparseValue({}, 3)))
    five, empty = connection.execute(select(WORDS.c.five, WORDS.c.any)).one()
    assert five is None
    assert (empty.dimensions(), empty.indices()) == (3, [])


WRONG: list[Any] = [
    [1, 2],
    SparseValue({1: 1.0}, 4),
    {5: 1.0},
    {-1: 1.0},
    [0, float("nan"), 0, 0, 0],
    {1: float("inf")},
    {1: 1e39},
    "{1:1}/5",
    7,
    [[0, 1, 0, 0, 0]],
    {"a": 1},
]


@pytest.mark.quick
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_what_the_column_cannot_hold_is_refused_before_it_is_sent(
    value: Any, connection: Connection
) -> None:
    with pytest.raises(VectorError):
        connection.execute(insert(Words).values(id=1, five=value))
    assert connection.scalar(select(func.count()).select_from(WORDS)) == 0


def test_a_mapping_needs_the_dimensions_and_a_vector_may_have_16_000_elements(
    connection: Connection,
) -> None:
    with pytest.raises(VectorError, match="dimensions"):
        connection.execute(insert(Words).values(id=1, any={1: 1.0}))
    full = dict.fromkeys(range(16_000), 1.0)
    connection.execute(insert(Words).values(id=1, any=SparseValue(full, 10**9)))
    too_full = SparseValue(full | {16_000: 1.0}, 10**9)
    with pytest.raises(VectorError, match="16,001"):
        connection.execute(insert(Words).values(id=2, any=too_full))


_numbers = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(elements=st.dictionaries(st.integers(0, 999), _numbers.filter(bool)))
def test_every_vector_comes_back_bit_for_bit(
    connection: Connection, elements: dict[int, float]
) -> None:
    vector = SparseValue(elements, 1_000)
    assert connection.scalar(select(literal(vector, SparseVector(1_000)))) == vector


def test_a_vector_that_did_not_change_is_not_written(connection: Connection) -> None:
    with Session(connection) as session:
        words = Words(id=1, five=EXPECTED)
        session.add(words)
        session.flush()
        words.five = {1: 1.5, 4: -2}
        assert not session.is_modified(words)
        words.five = None
        session.flush()
        assert session.scalar(select(WORDS.c.five)) is None


def test_beside_pgvector_s_own_registration_and_within_a_statement(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    register_vector(driver)
    statement = insert(Words).values(id=1, five=EXPECTED)
    written = statement.compile(connection, compile_kwargs={"literal_binds": True})
    connection.exec_driver_sql(str(written))
    assert connection.scalar(select(WORDS.c.five)) == EXPECTED


def test_its_distances_are_methods_of_the_column(connection: Connection) -> None:
    connection.execute(insert(Words).values(id=1, five=EXPECTED))
    five: Column[Any] = WORDS.c.five
    other = [0, 1.5, 0, 0, 0]
    distances = select(
        five.l2_distance(other),
        five.l1_distance(other),
        five.max_inner_product(other),
        five.cosine_distance(other),
    )
    assert [round(each, 4) for each in connection.execute(distances).one()] == [2, 2, -2.25, 0.4]
