"""What was written for asyncpg means over psycopg what it means over asyncpg."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import URL, Connection, String, create_engine, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from pgmodern.driver_sql import as_for_asyncpg

STATEMENTS: list[tuple[Any, ...]] = [
    ("SELECT 'abc' LIKE 'a%'",),
    ("SELECT 'a%c' LIKE 'a%%'",),
    ("SELECT 5 % 3",),
    ("SELECT '%s %(name)s %%'",),
    ("SELECT format('%I.%L', 'a b', 'c')",),
    ("SELECT 5 % $1", (3,)),
    ("SELECT $2::text || $1 || $2::text", ("%", "a")),
    (
        "SELECT $1::text || '$1 it''s $1' || E'\\'$1' || \"$1\" FROM (SELECT 'q' AS \"$1\") AS t",
        ("x",),
    ),
    ("SELECT $1::text || $$ $1 $$ || $b$ $1 $c$ $b$ -- $2\n /* $3 */", ("x",)),
    ("SELECT a$1 + $1::int FROM (SELECT 1 AS a$1) AS t", (2,)),
    ("SELECT cardinality($1::int[])", ([1, 2],)),
]


def _answers(connection: Connection) -> list[Any]:
    return [connection.exec_driver_sql(*each).scalar() for each in STATEMENTS]


@pytest.mark.quick
async def test_every_statement_means_what_it_means_over_asyncpg(postgres_url: URL) -> None:
    asyncpg = create_async_engine(
        postgres_url.set(drivername="postgresql+asyncpg"), poolclass=NullPool
    )
    async with asyncpg.connect() as connection:
        expected = await connection.run_sync(_answers)
    with (
        create_engine(postgres_url, poolclass=NullPool).connect() as psycopg,
        as_for_asyncpg(psycopg),
    ):
        assert _answers(psycopg) == expected


def test_a_statement_that_is_sent_without_parameters_is_left_alone(postgres_url: URL) -> None:
    with (
        create_engine(postgres_url, poolclass=NullPool).connect() as connection,
        as_for_asyncpg(connection),
    ):
        sent = {"no_parameters": True}
        assert connection.exec_driver_sql("SELECT '%'", execution_options=sent).scalar() == "%"


def test_the_parameters_of_a_function_are_its_own(postgres_url: URL) -> None:
    made = "CREATE FUNCTION pg_temp.f(int) RETURNS int LANGUAGE sql RETURN $1 % 7"
    with (
        create_engine(postgres_url, poolclass=NullPool).connect() as connection,
        as_for_asyncpg(connection),
    ):
        connection.exec_driver_sql(made)
        assert connection.exec_driver_sql("SELECT pg_temp.f($1)", (9,)).scalar() == 2


def test_many_rows_at_once(postgres_url: URL) -> None:
    with create_engine(postgres_url, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE t (a text, b int)")
        with as_for_asyncpg(connection):
            insert = "INSERT INTO t (b, a) VALUES ($2, $1 || '%')"
            connection.exec_driver_sql(insert, [("x", 1), ("y", 2)])
        rows = connection.execute(text("SELECT a, b FROM t ORDER BY b")).all()
    assert rows == [("x%", 1), ("y%", 2)]


WRITTEN_BY_SQLALCHEMY: list[Callable[[], Any]] = [
    lambda: text("SELECT 'a%c' LIKE 'a%' AND '%%' = :both").bindparams(both="%%"),
    lambda: select(literal("a%").like("a%") & (literal(5) % 3 == 2)),
    lambda: select(literal("$1 %", String)).where(text("'$1 %' = '$1 %'")),
]


@pytest.mark.parametrize("make", WRITTEN_BY_SQLALCHEMY)
def test_what_sqlalchemy_writes_is_left_alone(make: Callable[[], Any], postgres_url: URL) -> None:
    with create_engine(postgres_url, poolclass=NullPool).connect() as connection:
        expected = connection.scalar(make())
        assert expected is not None
        with as_for_asyncpg(connection):
            assert connection.scalar(make()) == expected


@pytest.mark.parametrize("parameters", [("%", "b"), {"one": "%", "two": "b"}])
def test_who_names_parameters_as_psycopg_does_wrote_for_it(
    parameters: Any, postgres_url: URL
) -> None:
    names = ("%(one)s", "%(two)s") if isinstance(parameters, dict) else ("%s", "%s")
    statement = "SELECT '$1 %%' || {}::text || {}".format(*names)
    with (
        create_engine(postgres_url, poolclass=NullPool).connect() as connection,
        as_for_asyncpg(connection),
    ):
        assert connection.exec_driver_sql(statement, parameters).scalar() == "$1 %%b"


def test_afterwards_the_connection_is_psycopg_s(postgres_url: URL) -> None:
    with create_engine(postgres_url, poolclass=NullPool).connect() as connection:
        with as_for_asyncpg(connection):
            pass
        assert connection.exec_driver_sql("SELECT 5 %% 3").scalar() == 2
        with pytest.raises(DBAPIError):
            connection.exec_driver_sql("SELECT 5 % 3")
