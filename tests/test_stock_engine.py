"""Over an engine of ours an application gets what SQLAlchemy's own engine gives it."""

import enum
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR, avg
from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    Connection,
    Engine,
    Enum,
    MetaData,
    Table,
    insert,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.dialects.postgresql.base import PGInspector
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine
from sqlalchemy.pool import NullPool

from pgmodern.engine import create_async_engine, create_engine
from pgmodern.testing.databases import database

PREPARED = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION vector;
CREATE TABLE t (id serial PRIMARY KEY, n int DEFAULT 5, s text, moods mood[]);
CREATE INDEX t_s ON t (s);
INSERT INTO t (s, moods) VALUES ('x', '{sad,happy}');
CREATE TABLE items (id int PRIMARY KEY, v vector(3), h halfvec(3), s sparsevec(3), b bit(3));
INSERT INTO items VALUES (1, '[1,2,3]', '[1,2,3]', '{1:1,3:2}/3', B'101')
"""


class Mood(enum.Enum):
    """A native enumeration, by name."""

    sad = 1
    happy = 2


@pytest.fixture(scope="module")
def database_url(postgres_url: URL) -> Iterator[URL]:
    """A database with types of its own."""
    with database(postgres_url) as url:
        engine = sa_create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(PREPARED))
        yield url


def _reflected(connection: Connection) -> object:
    table = Table("t", MetaData(), autoload_with=connection)
    return [
        (c.name, repr(c.type), c.computed, c.identity, str(getattr(c.server_default, "arg", None)))
        for c in table.c
    ]


MOOD = Enum(Mood, name="mood")
LITERALS = [
    "'a'::citext",
    "'{a,b}'::citext[]",
    "'{sad}'::mood[]",
    "'sad'::mood",
    "to_tsvector('simple', 'a b')",
    "'a & b'::tsquery",
    "'08:00:2b:01:02:03'::macaddr",
    "'12.34'::money",
    "'pg_class'::regclass",
    "'1'::xid",
    "'16/B374D848'::pg_lsn",
    "'$.a'::jsonpath",
    "'(1,2)'::point",
    "'[(1,2),(3,4)]'::lseg",
    "'((1,2),(3,4))'::box",
    "ROW(1, 'x')::pair",
    "B'101'",
    "B'101'::varbit",
    "'a=>1'::hstore",
    "'{1.5,NULL}'::real[]",
    "0.1::real",
    "'1 year 2 mons 3 days 04:05:06'::interval",
    "'[1,5)'::int4range",
    "'{[1,5)}'::int4multirange",
    "'192.168.0.1/24'::inet",
    "'10.0.0.0/8'::cidr",
    "'x'::name",
    "'c'::\"char\"",
    "'1 2'::int2vector",
    "NULL::mood",
    "'[1,2]'::vector",
    "'1.50'::numeric",
    "'NaN'::numeric",
    "'{\"a\": 1}'::jsonb",
    "relacl FROM pg_class WHERE relname = 'pg_statistic'",
]


def _vectors(connection: Connection) -> object:
    table = Table("items", MetaData(), autoload_with=connection)
    return [(type(column.type), repr(column.type)) for column in table.c]


def _inspector(connection: Connection) -> PGInspector:
    inspector = inspect(connection)
    assert isinstance(inspector, PGInspector)
    return inspector


def _scalar(column: Column[Any], of: str) -> Callable[[Connection], object]:
    return lambda connection: connection.scalar(select(column).select_from(text(of)))


def _as_text(sql: str, **options: Any) -> Callable[[Connection], object]:
    return lambda connection: (
        connection.execution_options(**options).execute(text(f"SELECT {sql}")).scalar()
    )


def _returned(connection: Connection) -> object:
    moods: Column[Any] = Column("moods", ARRAY(MOOD))
    inserted = insert(Table("t", MetaData(), moods)).values(moods=[Mood.happy]).returning(moods)
    return connection.scalar(inserted)


def _two_commands(connection: Connection) -> object:
    return connection.execute(text("DROP TABLE IF EXISTS a; CREATE TABLE a (x int)")).returns_rows


WAYS: dict[str, Callable[[Connection], object]] = {
    "reflection": _reflected,
    "reflection of vectors": _vectors,
    "indexes": lambda connection: inspect(connection).get_indexes("t"),
    "enums": lambda connection: _inspector(connection).get_enums(),
    "enum": lambda connection: connection.scalar(select(literal(Mood.sad, MOOD))),
    "array of enum": _scalar(Column("moods", ARRAY(MOOD)), "t"),
    "returning": _returned,
    "two commands": _two_commands,
    "average": lambda connection: connection.scalar(text("SELECT avg(v) FROM items")),
    "pgvector's vector": _scalar(Column("v", VECTOR(3)), "items"),
    "pgvector's halfvec": _scalar(Column("h", HALFVEC(3)), "items"),
    "pgvector's sparsevec": _scalar(Column("s", SPARSEVEC(3)), "items"),
    "pgvector's bit": _scalar(Column("b", BIT(3)), "items"),
    "pgvector's average": lambda connection: connection.scalar(
        select(avg(Column("v", VECTOR(3)))).select_from(text("items"))
    ),
    **{sql: _as_text(sql) for sql in LITERALS},
    **{f"streamed {sql}": _as_text(sql, stream_results=True) for sql in LITERALS},
}
OPTIONS: list[dict[str, Any]] = [{}, {"use_native_hstore": False}, {"native_inet_types": False}]


@pytest.mark.contrib
@pytest.mark.vector
@pytest.mark.parametrize(
    "options", [pytest.param(OPTIONS[0], marks=pytest.mark.quick), *OPTIONS[1:]], ids=str
)
def test_every_result_is_that_of_sqlalchemy_s_engine(
    options: dict[str, Any], database_url: URL
) -> None:
    ours = create_engine(database_url, poolclass=NullPool, **options)
    stock = sa_create_engine(database_url, poolclass=NullPool, **options)
    assert _answers(ours) == _answers(stock)


def _answers(engine: Engine) -> dict[str, str]:
    answers = {}
    for name, ask in WAYS.items():
        with engine.connect() as connection:
            answers[name] = repr(ask(connection))
    return answers


@pytest.mark.contrib
@pytest.mark.vector
async def test_so_is_every_result_in_asynchronous_code(database_url: URL) -> None:
    ours = create_async_engine(database_url, poolclass=NullPool)
    stock = sa_create_async_engine(database_url, poolclass=NullPool)
    for name, ask in WAYS.items():
        answers = []
        for engine in (ours, stock):
            async with engine.connect() as connection:
                answers.append(repr(await connection.run_sync(ask)))
        assert answers[0] == answers[1], name


@pytest.mark.contrib
@pytest.mark.vector
def test_a_statement_that_is_prepared_by_and_by_gives_the_same(database_url: URL) -> None:
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        found = {repr(connection.scalar(text("SELECT 'sad'::mood, 0.1::real"))) for _ in range(9)}
    assert found == {"'sad'"}


CHANGED = """
import warnings
import numpy
import psycopg
from alembic.autogenerate import comparators
from alembic.operations import Operations
from psycopg.adapt import PyFormat
from sqlalchemy import Engine, Index, MetaData, Table
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import Mapper, Session

def listeners(cls):
    names = [name for name in dir(cls.dispatch) if not name.startswith("_")]
    of_each = {name: getattr(cls.dispatch, name)._clslevel for name in names}
    return {name: [len(found) for found in of.values()] for name, of in of_each.items()}

def state():
    adapters = psycopg.adapters
    return {
        "types that reflection knows": dict(ischema_names),
        "dumpers": {form: dict(adapters._dumpers[form]) for form in PyFormat},
        "loaders": [list(loaders) for loaders in adapters._loaders],
        "comparators": dict(comparators._registry),
        "operations": (dict(Operations._to_impl._registry), dir(Operations)),
        "warnings": list(warnings.filters),
        "listeners": [listeners(cls) for cls in (Engine, Index, MetaData, Table, Mapper, Session)],
    }

before = state()
import pgmodern
for name in pgmodern.__all__:
    getattr(pgmodern, name)
import pgmodern.queries, pgmodern.repositories, pgmodern.doctor, pgmodern.environment
after = state()
assert before == after, [what for what in before if before[what] != after[what]]
"""


@pytest.mark.quick
def test_importing_changes_nothing_for_others() -> None:
    subprocess.run([sys.executable, "-c", CHANGED], check=True)
