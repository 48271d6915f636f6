"""Reads that are compiled once, and go to the driver without a second layer in between.

SQLAlchemy looks a statement up by its shape, makes a context and a result for it, and describes
each column, at every execution: some 70 us, which is a third of what a read by key takes in all.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult
from sqlalchemy import ColumnElement, Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import await_only

from pgmodern.queries.statement import Statement
from pgmodern.repositories.result_format import REAL, is_same_in_binary, shortest

Row = Sequence[Any]
Oids = tuple[int, ...]
Convert = Callable[[Any], Any]
_CURSORS = {psycopg.Cursor, psycopg.AsyncCursor}
# What of a connection's options means nothing to a statement that only reads.
_MEANINGLESS = {"isolation_level"}


def _knows_its_errors() -> bool:
    """Tell whether SQLAlchemy still makes its errors by the private method that is used here."""
    try:
        parameters = signature(Connection._handle_dbapi_exception).parameters  # noqa: SLF001
    except (AttributeError, TypeError, ValueError):
        return False
    names = ["self", "e", "statement", "parameters", "cursor", "context"]
    return list(parameters)[: len(names)] == names


_ERRORS_ARE_KNOWN = _knows_its_errors()


@dataclass(frozen=True, slots=True)
class ResultPlan:
    """How rows are read whose columns have these types, as the server numbers them."""

    oids: Oids
    binary: bool
    decoders: Sequence[tuple[int, Convert]]


class CompiledRead:
    """A statement in one dialect's SQL, and what its types do to values and to results."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        self._compiled = compiled
        self._dialect = dialect
        columns = list(statement.inner_columns)
        self._types = [each.type for each in columns if isinstance(each, ColumnElement)]
        # Values without names, what is written into each execution anew (the values of an IN), and
        # text that does not say how many columns it is, are for SQLAlchemy. So are other drivers,
        # and versions of SQLAlchemy in which its errors are made otherwise.
        self.is_whole = (
            _ERRORS_ARE_KNOWN
            and dialect.driver == "psycopg"
            and len(self._types) == len(columns)
            and not (
                compiled.positional
                or compiled.post_compile_params
                or compiled.literal_execute_params
                or statement.get_execution_options()
            )
        )
        named = compiled.bind_names.items()
        escaped = compiled.escaped_bind_names
        encoders = (
            (escaped.get(name, name), each.type.dialect_impl(dialect).bind_processor(dialect))
            for each, name in named
        )
        self._encoders = [(name, encode) for name, encode in encoders if encode is not None]
        self._plan: ResultPlan | None = None

    def fetch(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return all rows; raises what `connection.execute` raises, and does the same after it."""
        sql = self._compiled.string
        try:
            given = self._encoded(values)
        except Exception as error:  # noqa: BLE001 (as SQLAlchemy itself does)
            connection._handle_dbapi_exception(error, sql, values, None, None)  # noqa: SLF001
        try:
            return self._decoded(connection, given)
        except BaseException as error:
            theirs = connection.dialect.loaded_dbapi.Error
            if isinstance(error, Exception) and not isinstance(error, theirs):
                raise
            connection._handle_dbapi_exception(error, sql, given, None, None)  # noqa: SLF001

    def _decoded(self, connection: Connection, given: Mapping[str, Any]) -> Sequence[Row]:
        driver = connection.connection.driver_connection
        sql, plan = self._compiled.string, self._plan
        binary = plan is not None and plan.binary
        rows, oids = _read(driver, sql, given, binary=binary)
        if plan is None or plan.oids != oids:
            plan = self._plan = self._planned(oids, driver)
            if binary:  # which was decided for other types, before a table was altered
                rows, _ = _read(driver, sql, given, binary=False)
        return [_converted(row, plan.decoders) for row in rows] if plan.decoders else rows

    def _encoded(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        given = self._compiled.construct_params(values)
        for name, encode in self._encoders:
            given[name] = encode(given[name])
        return given

    def _planned(self, oids: Oids, driver: Any) -> ResultPlan:
        """Decide how rows are read from now on; some types ask what the driver found."""
        processors = (
            kind.dialect_impl(self._dialect).result_processor(self._dialect, oid)
            for kind, oid in zip(self._types, oids, strict=True)
        )
        decoders: list[tuple[int, Convert]] = [
            (place, shortest) for place, oid in enumerate(oids) if oid == REAL
        ]
        decoders += [(n, decode) for n, decode in enumerate(processors) if decode is not None]
        binary = driver.cursor_factory in _CURSORS and is_same_in_binary(
            self._types, oids, driver.adapters
        )
        return ResultPlan(oids, binary, decoders)


def _read(
    driver: Any, sql: str, given: Mapping[str, Any], *, binary: bool
) -> tuple[Sequence[Row], Oids]:
    """Return all rows, and the types of their columns as the server numbers them."""
    if isinstance(driver, psycopg.AsyncConnection):
        found: tuple[Sequence[Row], Oids] = await_only(_read_async(driver, sql, given, binary))
        return found
    with driver.cursor() as cursor:
        cursor.execute(sql, given, binary=binary)
        return cursor.fetchall(), _oids(cursor.pgresult)


async def _read_async(
    driver: psycopg.AsyncConnection, sql: str, given: Mapping[str, Any], binary: bool
) -> tuple[Sequence[Row], Oids]:
    async with driver.cursor() as cursor:
        await cursor.execute(sql, given, binary=binary)
        return await cursor.fetchall(), _oids(cursor.pgresult)


def _oids(result: PGresult | None) -> Oids:
    assert result is not None
    return tuple(map(result.ftype, range(result.nfields)))


def _converted(row: Row, decoders: Sequence[tuple[int, Convert]]) -> Row:
    values = list(row)
    for n, decode in decoders:
        values[n] = decode(values[n])
    return tuple(values)


@lru_cache(512)
def compiled(statement: Statement, dialect: Dialect) -> CompiledRead:
    """Return a statement that is built once as it is compiled once."""
    return CompiledRead(statement, dialect)


def is_heard(connection: Connection) -> bool:
    """Whether an application listens to what is executed, logs it, or has it changed."""
    told = connection.dispatch
    return bool(
        told.before_cursor_execute
        or told.after_cursor_execute
        or told.before_execute
        or told.after_execute
        or connection.dialect.dispatch.do_execute
        or connection.engine.logger.isEnabledFor(logging.INFO)
        or connection.get_execution_options().keys() - _MEANINGLESS
    )
