"""pgvector's types on the wire and in Python."""

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from pgvector.psycopg import register_vector
from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Identity,
    Text,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import BIT as PGBit  # noqa: N811
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern import types
from pgmodern.engine import create_async_engine, create_engine, reflect_vectors
from pgmodern.errors import VectorError
from pgmodern.types import (
    Bit,
    HalfVector,
    SparseVector,
    Vector,
    VectorType,
    avg,
    vector_type,
)

pytestmark = pytest.mark.vector


class Base(DeclarativeBase):
    """The metadata of this file."""


class Shape(Base):
    """Vectors of three and of any number of dimensions."""

    __tablename__ = "shapes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    full: Mapped[Any | None] = mapped_column(Vector(3))
    half: Mapped[Any | None] = mapped_column(HalfVector(3))
    any_full: Mapped[Any | None] = mapped_column(Vector())
    any_half: Mapped[Any | None] = mapped_column(HalfVector())


SHAPES = Base.metadata.tables["shapes"]
FULL, HALF, ANY_FULL, ANY_HALF = COLUMNS = list(SHAPES.c)[1:]


def _stored(connection: Connection, column: Column[Any], value: object) -> Any:
    statement = insert(SHAPES).values({column.name: value}).returning(column)
    return connection.execute(statement).scalar_one()


FORMS: list[ArrayLike] = [
    [1.0, -2.5, 0.0],
    (1, -2.5, 0),
    [True, False, True],
    range(3),
    np.array([1, -2.5, 0], np.float64),
    np.array([1, -2.5, 0], np.float32),
    np.array([1, -2.5, 0], np.float16),
    np.array([1, -2.5, 0], ">f4"),
    np.array([1, -2, 0], np.int64),
    np.array([1, 2, 0], np.uint8),
    np.arange(6, dtype=np.float32)[::2],
    np.arange(6, dtype=np.float32).reshape(2, 3)[1],
]


@pytest.mark.parametrize("column", [FULL, HALF], ids=str)
@pytest.mark.parametrize("value", FORMS, ids=repr)
def test_every_sequence_of_numbers_comes_back_as_numpy(
    column: Column[Any], value: ArrayLike, connection: Connection
) -> None:
    found = _stored(connection, column, value)
    assert found.dtype == (np.float16 if "half" in column.name else np.float32)
    assert found.tolist() == [float(number) for number in np.asarray(value)]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_null_comes_back_as_none(column: Column[Any], connection: Connection) -> None:
    assert _stored(connection, column, None) is None


@pytest.mark.parametrize("column", [ANY_FULL, ANY_HALF], ids=str)
def test_sixteen_thousand_dimensions_come_back(column: Column[Any], connection: Connection) -> None:
    numbers = np.arange(16_000) % 2048 / 2
    assert np.array_equal(_stored(connection, column, numbers), numbers)


@pytest.mark.parametrize("create", [create_async_engine, sa_create_async_engine])
async def test_vectors_come_back_to_asynchronous_code(
    create: Callable[..., AsyncEngine], database_url: URL
) -> None:
    async with create(database_url, poolclass=NullPool).connect() as connection:
        await connection.execute(insert(SHAPES).values(full=[1, 2, 3], half=(0.5, 0, -1)))
        full, half, none = (await connection.execute(select(FULL, HALF, ANY_FULL))).one()
    assert (full.tolist(), half.tolist(), none) == ([1, 2, 3], [0.5, 0, -1], None)


def test_rows_of_a_server_side_cursor_come_back(connection: Connection) -> None:
    connection.execute(insert(SHAPES), [{"full": [n, n, n], "half": [n, 0, 0]} for n in range(5)])
    streamed = connection.execution_options(stream_results=True).execute(select(FULL, HALF))
    assert [(f.tolist(), h[0]) for f, h in streamed] == [([n, n, n], n) for n in range(5)]


_property = settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@_property
@given(numbers=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_float32_comes_back_bit_for_bit(connection: Connection, numbers: list[float]) -> None:
    found = connection.execute(select(literal(numbers, Vector()))).scalar_one()
    assert found.tobytes() == np.array(numbers, np.float32).tobytes()


@_property
@given(numbers=st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_float16_comes_back_bit_for_bit(connection: Connection, numbers: list[float]) -> None:
    found = connection.execute(select(literal(numbers, HalfVector()))).scalar_one()
    assert found.tobytes() == np.array(numbers, np.float16).tobytes()


NOT_VECTORS: list[tuple[object, str]] = [
    ([1, 2], "has 2 dimensions, the column takes 3"),
    ([1, 2, 3, 4], "has 4 dimensions, the column takes 3"),
    ([], "has 0 dimensions, the column takes 3"),
    (np.zeros(16_001), "has 16,001 dimensions, the column takes 3"),
    ([1, float("nan"), 3], "nan at position 1"),
    ([1, 2, float("inf")], "inf at position 2"),
    (np.array([-np.inf, 2, 3]), "-inf at position 0"),
    ([1, None, 3], "not a sequence of numbers"),
    ([1e39, 2, 3], "inf at position 0"),
    (np.array([1, -1e300, 3]), "-inf at position 1"),
    ([[1, 2, 3]], "has 2 axes"),
    (np.zeros((3, 1)), "has 2 axes"),
    (1.0, "has 0 axes"),
    ([[1, 2], [3]], "not a sequence of numbers"),
    ("123", "not a sequence of numbers"),
    ("[1,2,3]", "not a sequence of numbers"),
    (b"123", "not a sequence of numbers"),
    (["1", "2", "3"], "not a sequence of numbers"),
    ([b"1", b"2", b"3"], "not a sequence of numbers"),
    (np.array(["1", "2", "3"]), "not a sequence of numbers"),
    (np.array(["1", "2", "3"], object), "not a sequence of numbers"),
    (np.array([1, 2, 3], "M8[D]"), "not a sequence of numbers"),
    ([1j, 2, 3], "not a sequence of numbers"),
    (np.array([1j, 2, 3]), "not a sequence of numbers"),
    ({1, 2, 3}, "not a sequence of numbers"),
    ({1: 1, 2: 2, 3: 3}, "not a sequence of numbers"),
    ([10**400, 2, 3], "not a sequence of numbers"),
    (object(), "not a sequence of numbers"),
]


@pytest.mark.parametrize("column", [FULL, HALF], ids=str)
@pytest.mark.parametrize(
    ("value", "problem"),
    NOT_VECTORS,
    ids=[f"{type(value).__name__}: {problem}" for value, problem in NOT_VECTORS],
)
def test_what_the_column_cannot_hold_is_refused_before_anything_is_sent(
    column: Column[Any], value: object, problem: str, connection: Connection
) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with pytest.raises(VectorError, match=problem):
        connection.execute(insert(SHAPES).values({column.name: value}))
    assert driver.info.transaction_status == TransactionStatus.IDLE
    assert connection.execute(select(func.count()).select_from(SHAPES)).scalar_one() == 0


@pytest.mark.parametrize("number", [65505, -65520, 1e5])
def test_a_number_beyond_float16_is_refused_for_a_halfvec_alone(
    number: float, connection: Connection
) -> None:
    assert _stored(connection, FULL, [number, 0, 0]).tolist() == [number, 0, 0]
    with pytest.raises(VectorError, match="at most 65504 in magnitude"):
        _stored(connection, HALF, [number, 0, 0])
    assert _stored(connection, HALF, [65504, 0, -65504]).tolist() == [65504, 0, -65504]


@pytest.mark.parametrize("column", [ANY_FULL, ANY_HALF], ids=str)
@pytest.mark.parametrize("size", [0, 16_001, 70_000])
def test_a_column_without_dimensions_takes_what_pgvector_does(
    column: Column[Any], size: int, connection: Connection
) -> None:
    with pytest.raises(VectorError, match=f"{size:,} dimensions"):
        _stored(connection, column, np.zeros(size))
    assert connection.execute(select(func.count()).select_from(SHAPES)).scalar_one() == 0


def test_one_wrong_vector_among_many_keeps_all_from_being_sent(connection: Connection) -> None:
    many = [{"full": [number, 0, 0]} for number in range(10)] + [{"full": [1, 2]}]
    with pytest.raises(VectorError):
        connection.execute(insert(SHAPES), many)
    assert connection.execute(select(func.count()).select_from(SHAPES)).scalar_one() == 0


def test_a_refusal_inside_a_transaction_leaves_it_usable(connection: Connection) -> None:
    _stored(connection, FULL, [1, 2, 3])
    with pytest.raises(VectorError):
        connection.execute(update(SHAPES).values(full=[1, 2]))
    assert connection.execute(select(FULL)).scalar_one().tolist() == [1, 2, 3]


def test_a_wrong_vector_in_a_comparison_is_refused_too(connection: Connection) -> None:
    with pytest.raises(VectorError):
        connection.execute(select(SHAPES.c.id).order_by(FULL.cosine_distance([1, 2])))
    nearest = select(SHAPES.c.id).order_by(FULL.cosine_distance(np.ones(3)))
    assert connection.execute(nearest).all() == []


@pytest.mark.parametrize("value", [[4, 5, 6], np.array([4, 5, 6])], ids=repr)
def test_a_mapped_vector_is_replaced(value: ArrayLike, connection: Connection) -> None:
    with Session(connection) as session:
        shape = Shape(full=[1, 2, 3])
        session.add(shape)
        session.flush()
        session.refresh(shape)
        shape.full = value
        session.flush()
        session.refresh(shape)
        assert np.array_equal(shape.full, [4, 5, 6])


@pytest.mark.parametrize(
    "value",
    [np.ones(2), ["a", "b", "c"], "123", [1, None, 3], [[1, 2, 3]], object()],
    ids=lambda each: type(each).__name__,
)
def test_a_mapped_vector_is_not_replaced_by_a_wrong_one(value: Any, connection: Connection) -> None:
    with Session(connection) as session:
        shape = Shape(full=[1, 2, 3])
        session.add(shape)
        session.flush()
        session.refresh(shape)
        shape.full = value
        with pytest.raises(VectorError):
            session.flush()


@pytest.mark.quick
def test_a_mapped_vector_is_set_to_null_and_back(connection: Connection) -> None:
    with Session(connection) as session:
        shape = Shape(full=[1, 2, 3])
        session.add(shape)
        session.flush()
        session.refresh(shape)
        shape.full = None
        session.flush()
        session.refresh(shape)
        assert shape.full is None
        shape.full = [4, 5, 6]
        session.flush()
        assert session.execute(select(FULL)).scalar_one().tolist() == [4, 5, 6]


@pytest.mark.quick
def test_a_mapped_vector_that_did_not_change_is_not_written(connection: Connection) -> None:
    with Session(connection) as session:
        shape = Shape(full=[1, 2, 3])
        session.add(shape)
        session.flush()
        session.refresh(shape)
        shape.full = np.array([1, 2, 3], np.float32)
        place = text("SELECT ctid::text FROM shapes")
        with session.no_autoflush:
            before = session.scalar(place)
        session.flush()
        assert session.scalar(place) == before


@pytest.mark.quick
def test_a_connection_on_which_pgvector_is_registered_works_as_well(
    connection: Connection,
) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    register_vector(driver)
    assert _stored(connection, FULL, [1, 2, 3]).tolist() == [1, 2, 3]
    assert _stored(connection, HALF, [1, 2, 3]).tolist() == [1, 2, 3]


def test_reflection_gives_our_types_where_that_is_asked_for(database_url: URL) -> None:
    engine = create_engine(database_url, poolclass=NullPool)
    reflect_vectors(engine.dialect)
    found = {column["name"]: column["type"] for column in inspect(engine).get_columns("shapes")}
    assert {name: (type(kind), kind.dim) for name, kind in found.items() if name != "id"} == {  # type: ignore[attr-defined]
        "full": (Vector, 3),
        "half": (HalfVector, 3),
        "any_full": (Vector, None),
        "any_half": (HalfVector, None),
    }


@pytest.mark.parametrize("value", [[1, 2.5, -3], (1, 2.5, -3), np.array([1, 2.5, -3])], ids=repr)
@pytest.mark.parametrize("column", [FULL, HALF], ids=str)
def test_a_vector_written_into_a_statement_is_the_same(
    value: ArrayLike, column: Column[Any], connection: Connection
) -> None:
    statement = insert(SHAPES).values({column.name: value})
    written = statement.compile(connection, compile_kwargs={"literal_binds": True})
    connection.exec_driver_sql(str(written))
    assert connection.execute(select(column)).scalar_one().tolist() == [1, 2.5, -3]


@pytest.mark.quick
@pytest.mark.parametrize("kind", [Vector(3), HalfVector(3)], ids=repr)
def test_a_wrong_vector_is_not_written_into_a_statement(kind: Vector | HalfVector) -> None:
    engine = create_engine("postgresql://nowhere")
    statement = select(literal([1, 2, float("nan")], kind))
    with pytest.raises(CompileError) as raised:
        statement.compile(engine, compile_kwargs={"literal_binds": True})
    assert isinstance(raised.value.__cause__, VectorError)


def test_lists_come_back_where_the_column_says_so(connection: Connection) -> None:
    vector = literal([1, 2.5, -3], Vector(3, as_list=True))
    half = literal(np.array([1, 2]), HalfVector(2, as_list=True))
    none = literal(None, Vector(3, as_list=True))
    assert connection.execute(select(vector, half, none)).one() == ([1, 2.5, -3], [1, 2], None)


@pytest.mark.quick
def test_averages_and_sums_are_vectors(connection: Connection) -> None:
    rows = [{"full": [1, 2, 3], "half": [1, 0, 0]}, {"full": [3, 2, 1], "half": [0, 1, 0]}]
    connection.execute(insert(SHAPES), rows)
    means = select(avg(FULL), avg(Shape.half), types.sum(FULL), types.sum(Shape.half))
    found = [value.tolist() for value in connection.execute(means).one()]
    assert found == [[2, 2, 2], [0.5, 0.5, 0], [4, 4, 4], [1, 1, 0]]


def test_its_distances_are_methods_of_the_column(connection: Connection) -> None:
    connection.execute(insert(SHAPES), [{"full": [1, 2, 2], "half": [0, 0, 1]}])
    distances = select(
        FULL.l2_distance([1, 2, 0]),
        FULL.l1_distance([0, 0, 0]),
        FULL.max_inner_product([1, 1, 1]),
        Shape.half.cosine_distance([0, 0, 2]),
    )
    assert connection.execute(distances).one() == (2, 5, -5, 0)


FOREIGN = {
    VECTOR(3): Vector,
    HALFVEC(3): HalfVector,
    SPARSEVEC(3): SparseVector,
    BIT(3): Bit,
    PGBit(3): Bit,
    Vector(3): Vector,
}


@pytest.mark.quick
@pytest.mark.parametrize("kind", FOREIGN, ids=repr)
def test_the_types_of_others_are_known_for_what_they_are(kind: Any) -> None:
    found = vector_type(kind)
    assert isinstance(found, VectorType)
    assert type(found) is FOREIGN[kind]
    assert getattr(found, "dim", 3) == getattr(found, "length", 3) == 3
    assert vector_type(Text()) is None
    assert vector_type(PGBit(3, varying=True)) is None
