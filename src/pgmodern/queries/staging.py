"""Bulk loads: COPY into a temporary table, then one statement that inserts or updates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pgvector
from psycopg.types.json import Json, Jsonb
from psycopg.types.numeric import Float4, Float8, Int2, Int4, Int8
from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    BigInteger,
    CursorResult,
    DateTime,
    Float,
    Integer,
    Numeric,
    Result,
    SmallInteger,
    Table,
    TextClause,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pgmodern.indexes.catalogue import quoted
from pgmodern.types import HalfVector, Vector

Encode = Callable[[Any], Any]

# The first that fits; SQLAlchemy's Float is a Numeric.
_WIRE: tuple[tuple[type[Any], Encode], ...] = (
    (SmallInteger, Int2),
    (BigInteger, Int8),
    (Integer, Int4),
    (REAL, Float4),
    (Float, Float8),
    (Numeric, lambda value: Decimal(str(value))),
    (JSONB, Jsonb),
    (JSON, Json),
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
        # A key with a NULL in it is the same as no other.
        nulls = " OR ".join(f"{quoted(name)} IS NULL" for name in key)
        alone = f"CASE WHEN {nulls} THEN ctid END"
        self.create = _written(
            f"CREATE TEMPORARY TABLE pgmodern_staging ON COMMIT DROP AS "
            f"SELECT {names} FROM {target} WITH NO DATA"
        )
        self.copy = f"COPY pgmodern_staging ({names}) FROM STDIN (FORMAT BINARY)"
        self.merge = _written(
            f"INSERT INTO {target} ({names}) SELECT DISTINCT ON ({unique}, {alone}) {names} "
            f"FROM pgmodern_staging ORDER BY {unique}, {alone}, ctid DESC "
            f"ON CONFLICT ({unique}) {f'DO UPDATE SET {changes}' if changes else 'DO NOTHING'}"
        )
        self.drop = _written("DROP TABLE pgmodern_staging")

    def encoded(self, rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
        """Give each value the exact type of its column, which COPY BINARY does not convert to.

        Raises VectorError for a vector that its column cannot hold.
        """
        encoders = [_encoder(column.type) for column in self.columns]
        for row in rows:
            yield [
                None if value is None else encode(value)
                for encode, value in zip(encoders, row, strict=True)
            ]


def _written(sql: str) -> TextClause:
    return text(sql.replace(":", r"\:"))


def count_of(result: Result[*tuple[Any, ...]]) -> int:
    """Return how many rows a statement inserted or updated."""
    assert isinstance(result, CursorResult)
    return result.rowcount


def _encoder(kind: TypeEngine[Any]) -> Encode:
    if isinstance(kind, Vector):
        return lambda value: pgvector.Vector(kind.check(value))
    if isinstance(kind, HalfVector):
        return lambda value: pgvector.HalfVector(kind.check(value))
    if isinstance(kind, DateTime):
        return lambda value: _in_its_zone(kind, value)
    if isinstance(kind, ARRAY):
        item = _encoder(kind.item_type)
        return lambda value: [None if each is None else item(each) for each in value]
    return next((wire for sql_type, wire in _WIRE if isinstance(kind, sql_type)), lambda v: v)


def _in_its_zone(kind: DateTime, value: datetime) -> datetime:
    if (value.tzinfo is not None) != kind.timezone:
        raise ValueError(f"{value!r} has {'no' if kind.timezone else 'a'} time zone")
    return value
