"""Reads that go to the driver directly: they find, raise and tell what SQLAlchemy's own do."""

import enum
import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.types.numeric import FloatLoader
from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    Column,
    Connection,
    Dialect,
    Engine,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    column,
    event,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import CITEXT, INET, JSONB
from sqlalchemy.exc import DBAPIError, ProgrammingError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.queries.statement import Statement
from pgmodern.reference.music import Artist, ArtistRepository
from pgmodern.repositories.compiled import compiled, is_heard
from pgmodern.repositories.repository import fetched
from pgmodern.types import HalfVector, Vector


class Colour(enum.Enum):
    """Kept by name."""

    RED = "r"
    BLUE = "b"


class Shouted(TypeDecorator[str]):
    """Text that is another in the database than in Python."""

    impl, cache_ok = Text, True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value and value.lower()

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value and value.upper()


THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("colour", Enum(Colour, native_enum=False)),
    Column("price", Numeric(10, 2)),
    Column("weight", Float),
    Column("tags", ARRAY(Text)),
    Column("details", JSONB),
    Column("said", JSON),
    Column("shout", Shouted),
    Column("picture", LargeBinary),
    Column("vector", Vector(3)),
    Column("half", HalfVector(3)),
)
ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "colour": Colour.BLUE,
        "price": Decimal("1.50"),
        "weight": 0.5,
        "tags": ["a", "b"],
        "details": {"ä": [1, None]},
        "said": {"x": "y"},
        "shout": "LOUD",
        "picture": b"\x00\xff",
        "vector": np.array([1, 2, 3], np.float32),
        "half": np.array([1, 2, 3], np.float16),
    },
    {"id": 2},
]


@pytest.fixture
def things(session: Session) -> Session:
    """A session with two things: one that has every value, and one that has none."""
    THINGS.create(session.connection())
    for row in ROWS:
        session.execute(insert(THINGS), row)
    return session


def _plain(rows: Any) -> list[list[Any]]:
    return [[v.tolist() if isinstance(v, np.ndarray) else v for v in row] for row in rows]


def _directly(session: Session, statement: Statement, values: Any = None) -> Any:
    connection = session.connection()
    read = compiled(statement, connection.dialect)
    assert read.is_whole
    assert not is_heard(connection)
    return read.fetch(connection, values or {})


def test_every_type_is_read_as_sqlalchemy_reads_it(things: Session) -> None:
    statement = select(THINGS).order_by(THINGS.c.id)
    expected = _plain(things.execute(statement).all())
    for _ in range(2):  # the second time what is to be converted is known
        assert _plain(_directly(things, statement)) == expected
    assert expected[0] == _plain([ROWS[0].values()])[0]


@pytest.mark.parametrize(
    "name", ["id", "colour", "price", "weight", "tags", "shout", "picture", "vector"]
)
def test_every_type_is_sent_as_sqlalchemy_sends_it(name: str, things: Session) -> None:
    column = THINGS.c[name]
    given = bindparam("given", type_=column.type)
    found = _directly(things, select(THINGS.c.id).where(column == given), {"given": ROWS[0][name]})
    assert found == [(1,)]


@pytest.mark.quick
def test_constants_have_their_values_and_parameters_must_have_them(things: Session) -> None:
    statement = select(THINGS.c.id, literal("a%b:c")).where(THINGS.c.id == bindparam("id"))
    assert _directly(things, statement, {"id": 2, "unknown": 1}) == [(2, "a%b:c")]
    with pytest.raises(StatementError, match="'id'"):
        _directly(things, statement)


def test_names_that_the_driver_would_misread_are_escaped(things: Session) -> None:
    statement = select(THINGS.c.id).where(THINGS.c.shout == bindparam("a%(b)", type_=Shouted()))
    assert _directly(things, statement, {"a%(b)": "LOUD"}) == [(1,)]


def test_what_is_written_into_each_execution_is_sqlalchemy_s(things: Session) -> None:
    statement = select(THINGS.c.id).where(THINGS.c.id.in_(bindparam("ids", expanding=True)))
    assert not compiled(statement, things.connection().dialect).is_whole
    assert [row.id for row in fetched(things, statement, {"ids": [1, 2, 3]})] == [1, 2]


def test_text_of_unknown_columns_is_sqlalchemy_s(things: Session) -> None:
    statement = select(THINGS.c.id, text("1 AS one, 2 AS two")).where(THINGS.c.id == 1)
    assert not compiled(statement, things.connection().dialect).is_whole
    assert [tuple(row) for row in fetched(things, statement, {})] == [(1, 1, 2)]


EVENTS: list[str] = [
    "before_execute",
    "after_execute",
    "before_cursor_execute",
    "after_cursor_execute",
]


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("of_engine", [False, True])
def test_whoever_listens_hears_of_every_read(
    name: str, of_engine: bool, session: Session, engine: Engine
) -> None:
    heard: list[Any] = []

    def listen(*told: Any) -> None:
        heard.append(told)

    target: Engine | Connection = engine if of_engine else session.connection()
    event.listen(target, name, listen)
    ArtistRepository(session).suggest("a")
    event.remove(target, name, listen)
    assert len(heard) == 1
    assert not is_heard(session.connection())


def test_whoever_executes_in_the_driver_s_place_is_asked(session: Session, engine: Engine) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("asked")

    event.listen(engine, "do_execute", refuse)
    try:
        with pytest.raises(AssertionError, match="asked"):
            ArtistRepository(session).suggest("a")
    finally:
        event.remove(engine, "do_execute", refuse)


def test_reads_are_logged_where_statements_are(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sqlalchemy.engine")
    with Session(engine) as session:
        ArtistRepository(session).suggest("a")
    assert any("artists" in record.getMessage() for record in caplog.records)


def test_options_of_the_connection_are_heeded(session: Session) -> None:
    connection = session.connection(execution_options={"schema_translate_map": {None: "elsewhere"}})
    assert is_heard(connection)
    with pytest.raises(ProgrammingError, match="elsewhere"):
        ArtistRepository(session).suggest("a")


def test_options_of_the_statement_are_heeded(session: Session) -> None:
    statement = select(Artist.id).execution_options(yield_per=1)
    assert not compiled(statement, session.connection().dialect).is_whole


def _wrong(session: Session) -> Any:
    statement = select(THINGS.c.id).where(THINGS.c.id == bindparam("id"))
    return _directly(session, statement, {"id": 1})


def test_errors_are_sqlalchemy_s(session: Session) -> None:
    heard: list[Any] = []
    engine = session.get_bind()
    assert isinstance(engine, Engine)

    def listen(context: Any) -> None:
        heard.append(context.original_exception)

    event.listen(engine, "handle_error", listen)
    try:
        with pytest.raises(ProgrammingError, match="things") as raised:
            _wrong(session)
    finally:
        event.remove(engine, "handle_error", listen)
    assert isinstance(raised.value.orig, psycopg.errors.UndefinedTable)
    assert raised.value.params == {"id": 1}
    assert heard == [raised.value.orig]
    session.rollback()
    assert ArtistRepository(session).suggest("a") == []


def test_a_lost_session_is_replaced_by_the_pool(engine: Engine) -> None:
    with Session(engine) as session, Session(engine) as other:
        connection = session.connection()
        lost = connection.connection.driver_connection
        assert isinstance(lost, psycopg.Connection)
        other.connection().exec_driver_sql(f"SELECT pg_terminate_backend({lost.info.backend_pid})")
        with pytest.raises(DBAPIError) as raised:
            ArtistRepository(session).suggest("a")
        assert raised.value.connection_invalidated
        session.rollback()
        assert ArtistRepository(session).suggest("a") == []


async def test_asynchronous_sessions_read_the_same(async_session: AsyncSession) -> None:
    statement = select(THINGS).order_by(THINGS.c.id)

    def rows(session: Session) -> Any:
        THINGS.create(session.connection())
        session.execute(insert(THINGS), ROWS[0])
        expected = session.execute(statement).all()
        return expected, _directly(session, statement)

    expected, found = await async_session.run_sync(rows)
    assert _plain(found) == _plain(expected)


async def test_asynchronous_errors_are_sqlalchemy_s(async_session: AsyncSession) -> None:
    with pytest.raises(ProgrammingError, match="things"):
        await async_session.run_sync(_wrong)


MOOD = Enum("sad", "happy", name="mood")
NOTES = Table(
    "notes",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("mood", MOOD),
    Column("tag", CITEXT),
    Column("grade", REAL),
    Column("grades", ARRAY(REAL)),
    Column("span", Interval),
    Column("address", INET),
)
NOTE = {
    "id": 1,
    "mood": "sad",
    "tag": "A",
    "grade": 0.1,
    "grades": [0.1, None],
    "span": timedelta(days=40, seconds=1),
    "address": "10.0.0.0/8",
}


@pytest.fixture
def notes(session: Session) -> Session:
    """A session with a row of types that psycopg does not decode alike from text and binary."""
    session.execute(text("CREATE EXTENSION citext"))
    NOTES.create(session.connection())
    session.execute(insert(NOTES), [NOTE, dict.fromkeys(NOTE) | {"id": 2}])
    return session


@pytest.mark.parametrize("column", [*NOTES.c, None], ids=str)
def test_a_type_that_is_another_in_binary_is_read_as_text(
    column: Column[Any] | None, notes: Session
) -> None:
    statement = select(NOTES if column is None else column).order_by(NOTES.c.id)
    expected = [tuple(row) for row in notes.execute(statement)]
    for _ in range(3):
        assert [tuple(row) for row in _directly(notes, statement)] == expected


def test_what_is_the_same_in_binary_comes_in_binary(things: Session) -> None:
    statement = select(THINGS.c.id, THINGS.c.shout, THINGS.c.vector, THINGS.c.details)
    for _ in range(2):
        _directly(things, statement)
    plan = compiled(statement, things.connection().dialect)._plan
    assert plan is not None
    assert plan.binary


def test_a_type_that_was_altered_is_read_as_what_it_is_now(session: Session) -> None:
    session.execute(text("CREATE EXTENSION citext"))
    session.execute(text("CREATE TABLE words (word text)"))
    session.execute(text("INSERT INTO words VALUES ('a')"))
    statement = select(column("word", Text)).select_from(text("words"))
    for kind in ("text", "citext", "varchar", "citext"):
        session.execute(text(f"ALTER TABLE words ALTER word TYPE {kind}"))
        for _ in range(3):
            assert _directly(session, statement) == [("a",)], kind


def test_a_decoder_of_the_application_s_is_heeded(things: Session) -> None:
    driver = things.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    driver.adapters.register_loader("numeric", FloatLoader)
    statement = select(THINGS.c.price + 1).where(THINGS.c.id == 1)
    for _ in range(3):
        ((found,),) = _directly(things, statement)
        assert (found, type(found)) == (2.5, type(things.scalar(statement)))


@pytest.mark.quick
def test_where_sqlalchemy_s_internals_differ_it_reads_itself(
    things: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = select(THINGS).order_by(THINGS.c.id)
    expected = _plain(_directly(things, statement))
    monkeypatch.setattr("pgmodern.repositories.compiled._ERRORS_ARE_KNOWN", False)
    compiled.cache_clear()
    assert not compiled(statement, things.connection().dialect).is_whole
    assert _plain(fetched(things, statement, {})) == expected
    compiled.cache_clear()
