"""Reads that are compiled once, and go to the driver without a second layer in between.

SQLAlchemy looks a statement up by its shape, makes a context and a result for it, and describes
each column, at every execution: some 70 us, which is a third of what a read by key takes in all.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from pgmodern.queries.statement import Statement

Row = Sequence[Any]
Convert = Callable[[Any], Any]
# What of a connection's options means nothing to a statement that only reads.
_MEANINGLESS = {"isolation_level"}


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
        # text that does not say how many columns it is, are for SQLAlchemy.
        self.is_whole = len(self._types) == len(columns) and not (
            compiled.positional
            or compiled.post_compile_params
            or compiled.literal_execute_params
            or statement.get_execution_options()
        )
        named = compiled.bind_names.items()
        escaped = compiled.escaped_bind_names
        encoders = (
            (escaped.get(name, name), each.type.dialect_impl(dialect).bind_processor(dialect))
            for each, name in named
        )
        self._encoders = [(name, encode) for name, encode in encoders if encode is not None]
        self._decoders: list[tuple[int, Convert]] | None = None

    def fetch(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return all rows; raises what `connection.execute` raises, and does the same after it."""
        sql = self._compiled.string
        try:
            given = self._encoded(values)
        except Exception as error:  # noqa: BLE001 (as SQLAlchemy itself does)
            connection._handle_dbapi_exception(error, sql, values, None, None)  # noqa: SLF001
        cursor = None
        try:
            cursor = connection.connection.cursor()
            cursor.execute(sql, given)
            rows = cursor.fetchall()
            if (decoders := self._decoders) is None:
                decoders = self._decoders = self._known_by([c[1] for c in cursor.description or ()])
        except BaseException as error:
            theirs = connection.dialect.loaded_dbapi.Error
            if isinstance(error, Exception) and not isinstance(error, theirs):
                raise
            connection._handle_dbapi_exception(error, sql, given, cursor, None)  # noqa: SLF001
        return [_decoded(row, decoders) for row in rows] if decoders else rows

    def _encoded(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        given = self._compiled.construct_params(values)
        for name, encode in self._encoders:
            given[name] = encode(given[name])
        return given

    def _known_by(self, codes: Sequence[Any]) -> list[tuple[int, Convert]]:
        """Return what is to be converted of each row; some types ask what the driver found."""
        pairs = enumerate(zip(self._types, codes, strict=True))
        decoders = (
            (n, kind.dialect_impl(self._dialect).result_processor(self._dialect, code))
            for n, (kind, code) in pairs
        )
        return [(n, decode) for n, decode in decoders if decode is not None]


def _decoded(row: Row, decoders: Sequence[tuple[int, Convert]]) -> Row:
    decoded = list(row)
    for n, decode in decoders:
        decoded[n] = decode(decoded[n])
    return tuple(decoded)


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
        or connection._echo  # noqa: SLF001
        or connection.get_execution_options().keys() - _MEANINGLESS
    )
