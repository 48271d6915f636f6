"""bit on the wire and in Python."""

from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pgvector.psycopg import register_vector
from sqlalchemy import BigInteger, Connection, Identity, func, insert, literal, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.errors import VectorError
from pgmodern.types import Bit

pytestmark = pytest.mark.vector


class Base(DeclarativeBase):
    """The metadata of this file."""


class Flags(Base):
    """Bits, of a number that is no multiple of eight."""

    __tablename__ = "flags"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    bits: Mapped[Any | None] = mapped_column(Bit(11))


FLAGS = Base.metadata.tables["flags"]
BITS = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1], bool)


@pytest.mark.parametrize(
    "value", [BITS, BITS.tolist(), tuple(BITS.tolist()), "10011010011", None], ids=repr
)
def test_bits_come_back_as_booleans(value: Any, connection: Connection) -> None:
    stored = insert(FLAGS).values(bits=value).returning(FLAGS.c.bits)
    found = connection.execute(stored).scalar_one()
    if value is None:
        assert found is None
    else:
        assert (found.dtype, found.tolist()) == (np.bool_, BITS.tolist())


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bits=st.lists(st.booleans(), min_size=1, max_size=200))
def test_every_number_of_bits_comes_back(connection: Connection, bits: list[bool]) -> None:
    found = connection.execute(select(literal(bits, Bit(len(bits))))).scalar_one()
    assert found.tolist() == bits


@pytest.mark.parametrize(
    "value",
    [BITS[:10], np.append(BITS, True), [1, 0] * 5 + [1], "1001101001x", b"\x9a\x60", [BITS], 7.0],
    ids=lambda each: repr(each)[:20],
)
def test_wrong_bits_are_refused_before_anything_is_sent(
    value: object, connection: Connection
) -> None:
    with pytest.raises(VectorError):
        connection.execute(insert(FLAGS).values(bits=value))
    assert connection.execute(select(func.count()).select_from(FLAGS)).scalar_one() == 0


@pytest.mark.quick
def test_bits_with_pgvector_registered_and_written_into_a_statement(
    connection: Connection,
) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    register_vector(driver)
    statement = insert(FLAGS).values(bits=BITS)
    written = statement.compile(connection, compile_kwargs={"literal_binds": True})
    connection.exec_driver_sql(str(written))
    assert connection.execute(select(FLAGS.c.bits)).scalar_one().tolist() == BITS.tolist()


@pytest.mark.quick
def test_mapped_bits_are_written_when_they_changed(connection: Connection) -> None:
    place = text("SELECT ctid::text FROM flags")
    with Session(connection) as session:
        flags = Flags(bits=BITS)
        session.add(flags)
        session.flush()
        before = session.scalar(place)
        flags.bits = BITS.copy()
        session.flush()
        assert session.scalar(place) == before
        flags.bits = ~BITS
        session.flush()
        assert session.execute(select(FLAGS.c.bits)).scalar_one().tolist() == (~BITS).tolist()


@pytest.mark.quick
def test_bits_that_differ_least_are_the_nearest(connection: Connection) -> None:
    near, far = BITS.copy(), ~BITS
    near[0] = False
    connection.execute(insert(FLAGS), [{"bits": far}, {"bits": near}])
    differing = FLAGS.c.bits.hamming_distance(BITS)
    assert connection.execute(select(differing).order_by(differing)).scalars().all() == [1, 11]


def test_the_share_of_bits_that_only_one_of_both_has(connection: Connection) -> None:
    near = BITS.copy()
    near[0] = False
    connection.execute(insert(FLAGS), [{"bits": near}])
    assert connection.scalar(select(FLAGS.c.bits.jaccard_distance(BITS))) == pytest.approx(1 / 6)
