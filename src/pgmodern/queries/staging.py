"""Bulk loads: COPY into a temporary table, then one statement that inserts or updates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pgvector
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Float8, Int2, Int4, Int8
from sqlalchemy import BigInteger, Column, Double, Integer, SmallInteger, Table
from sqlalchemy.dialects.postgresql import JSONB

from pgmodern.indexes.catalogue import quoted
from pgmodern.types import HalfVector, Vector

_WIRE: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (SmallInteger, Int2),
    (BigInteger, Int8),
    (Integer, Int4),
    (Double, Float8),
    (JSONB, Jsonb),
)


class Staging:
    """The SQL, and the rows in binary form, for loading some columns of a table.

    `key` are the columns of a unique constraint: a row whose key is there already is updated, and
    of rows with the same key the last one counts.
    """

    def __init__(self, table: Table, columns: Sequence[str], key: Sequence[str]) -> None:
        self.columns = [table.c[name] for name in columns]
        target, names = quoted(table.name, table.schema), ", ".join(map(quoted, columns))
        unique = ", ".join(map(quoted, key))
        changes = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in columns if c not in key)
        self.create = (
            f"CREATE TEMPORARY TABLE pgmodern_staging ON COMMIT DROP AS "
            f"SELECT {names} FROM {target} WITH NO DATA"
        )
        self.copy = f"COPY pgmodern_staging ({names}) FROM STDIN (FORMAT BINARY)"
        self.merge = (
            f"INSERT INTO {target} ({names}) SELECT DISTINCT ON ({unique}) {names} "
            f"FROM pgmodern_staging ORDER BY {unique}, ctid DESC "
            f"ON CONFLICT ({unique}) {f'DO UPDATE SET {changes}' if changes else 'DO NOTHING'}"
        )
        self.drop = "DROP TABLE pgmodern_staging"

    def encoded(self, rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
        """Give each value the exact type of its column, which COPY BINARY does not convert to.

        Raises VectorError for a vector that its column cannot hold.
        """
        encoders = [_encoder(column) for column in self.columns]
        for row in rows:
            yield [
                None if value is None else encode(value)
                for encode, value in zip(encoders, row, strict=True)
            ]


def _encoder(column: Column[Any]) -> Callable[[Any], Any]:
    kind = column.type
    if isinstance(kind, Vector):
        return lambda value: pgvector.Vector(kind.check(value))
    if isinstance(kind, HalfVector):
        return lambda value: pgvector.HalfVector(kind.check(value))
    return next((wire for sql_type, wire in _WIRE if isinstance(kind, sql_type)), lambda v: v)
