"""Bulk loads: COPY into a temporary table, then one statement that inserts or updates."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import CursorResult, Result, Table
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from pgmodern.queries.encoding import asyncpg as asyncpg_encoding
from pgmodern.queries.encoding import psycopg as psycopg_encoding
from pgmodern.queries.encoding.values import DIALECT
from pgmodern.quoting import quoted, verbatim

_ENCODINGS = {"psycopg": psycopg_encoding, "asyncpg": asyncpg_encoding}


class Staging:
    """The SQL, and the rows in binary form, for loading some columns of a table.

    `key` are the columns of a unique constraint: a row whose key is there already is updated, and
    of rows with the same key the last one counts. `name` is that of the temporary table.
    """

    name = "pgmodern_staging"

    def __init__(
        self, table: Table, columns: Sequence[str], key: Sequence[str], driver: str = "psycopg"
    ) -> None:
        self.columns = [table.c[each] for each in columns]
        encoding = _ENCODINGS[driver]
        self._encoders = [encoding.encoder(column.type) for column in self.columns]
        filled = [quoted(column.name) for column in self.columns]
        carriers = [encoding.carrier(column.type) for column in self.columns]
        carried = ", ".join(
            name if carrier is None else f"{name}::{carrier} AS {name}"
            for name, carrier in zip(filled, carriers, strict=True)
        )
        restored = ", ".join(
            name if carrier is None else f"{name}::{column.type.compile(DIALECT)}"
            for name, carrier, column in zip(filled, carriers, self.columns, strict=True)
        )
        keys = [quoted(table.c[each].name) for each in key]
        target, names, unique = quoted(table.name, table.schema), ", ".join(filled), ", ".join(keys)
        changes = ", ".join(f"{name} = excluded.{name}" for name in filled if name not in keys)
        # A key with a NULL in it is the same as no other.
        nulls = " OR ".join(f"{name} IS NULL" for name in keys)
        alone = f"CASE WHEN {nulls} THEN ctid END"
        self.create = verbatim(
            f"CREATE TEMPORARY TABLE {self.name} ON COMMIT DROP AS "
            f"SELECT {carried} FROM {target} WITH NO DATA"
        )
        self.copy = f"COPY {self.name} ({names}) FROM STDIN (FORMAT BINARY)"
        self.copy_new = f"COPY {target} ({names}) FROM STDIN (FORMAT BINARY)"
        self.merge = verbatim(
            f"INSERT INTO {target} ({names}) SELECT DISTINCT ON ({unique}, {alone}) {restored} "
            f"FROM {self.name} ORDER BY {unique}, {alone}, ctid DESC "
            f"ON CONFLICT ({unique}) {f'DO UPDATE SET {changes}' if changes else 'DO NOTHING'}"
        )
        self.drop = verbatim(f"DROP TABLE {self.name}")

    def encoded(self, rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
        """Give each value the exact type of its column, which COPY BINARY does not convert to.

        Raises VectorError for a vector that its column cannot hold, ValueError or TypeError for a
        number.
        """
        for row in rows:
            yield [
                None if value is None else encode(value)
                for encode, value in zip(self._encoders, row, strict=True)
            ]


@contextmanager
def raised_as_sqlalchemy_s(statement: str) -> Iterator[None]:
    """Raise psycopg's errors as SQLAlchemy's, as those of every other statement of a session are.

    The values are not shown: of a bulk load they are too many, and not all are for a log.
    """
    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True
        ) from error
    except Exception as error:
        state = getattr(error, "sqlstate", None)  # of asyncpg's, which may not be installed
        if not isinstance(state, str):
            raise
        raised = _BY_CLASS.get(state[:2], DBAPIError)
        raise raised(statement, None, error, hide_parameters=True) from error


def count_of(result: Result[*tuple[Any, ...]]) -> int:
    """Return how many rows a statement inserted or updated."""
    assert isinstance(result, CursorResult)
    return result.rowcount


# The classes of the manual's Appendix A, as the drivers of SQLAlchemy divide them.
_BY_CLASS: dict[str, type[DBAPIError]] = {
    "22": DataError,
    "23": IntegrityError,
    "42": ProgrammingError,
}
