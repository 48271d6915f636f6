"""Bulk loads: COPY into a temporary table, then one statement that inserts or updates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from math import isfinite
from operator import index
from struct import pack
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Json, Jsonb
from psycopg.types.numeric import Float4, Float8, Int2, Int4, Int8
from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    BigInteger,
    CursorResult,
    DateTime,
    Dialect,
    Enum,
    Float,
    Integer,
    Numeric,
    Result,
    SmallInteger,
    Table,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from pgmodern.indexes.catalogue import quoted, verbatim
from pgmodern.types import HalfVector, Vector

Encode = Callable[[Any], Any]


def _integer(wire: type[int]) -> Encode:
    bound = 1 << (_BITS[wire] - 1)

    def encode(value: Any) -> int:
        # psycopg would cut off what does not fit.
        if not -bound <= index(value) < bound:
            raise ValueError(f"{value!r} does not fit an integer of {_BITS[wire]} bits")
        return wire(value)

    return encode


def _real(value: Any) -> Float4:
    if isfinite(value) and abs(value) > _LARGEST_REAL:
        raise ValueError(f"{value!r} does not fit a real number of 32 bits")
    return Float4(value)


_BITS: dict[type[int], int] = {Int2: 16, Int4: 32, Int8: 64}
_LARGEST_REAL = float(np.finfo(np.float32).max)
# The first that fits; SQLAlchemy's Float is a Numeric.
_WIRE: tuple[tuple[type[Any], Encode], ...] = (
    (SmallInteger, _integer(Int2)),
    (BigInteger, _integer(Int8)),
    (Integer, _integer(Int4)),
    (REAL, _real),
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
        self.columns = [table.c[each] for each in columns]
        filled = [quoted(column.name) for column in self.columns]
        keys = [quoted(table.c[each].name) for each in key]
        target, names, unique = quoted(table.name, table.schema), ", ".join(filled), ", ".join(keys)
        changes = ", ".join(f"{name} = excluded.{name}" for name in filled if name not in keys)
        # A key with a NULL in it is the same as no other.
        nulls = " OR ".join(f"{name} IS NULL" for name in keys)
        alone = f"CASE WHEN {nulls} THEN ctid END"
        self.create = verbatim(
            f"CREATE TEMPORARY TABLE pgmodern_staging ON COMMIT DROP AS "
            f"SELECT {names} FROM {target} WITH NO DATA"
        )
        self.copy = f"COPY pgmodern_staging ({names}) FROM STDIN (FORMAT BINARY)"
        self.copy_new = f"COPY {target} ({names}) FROM STDIN (FORMAT BINARY)"
        self.merge = verbatim(
            f"INSERT INTO {target} ({names}) SELECT DISTINCT ON ({unique}, {alone}) {names} "
            f"FROM pgmodern_staging ORDER BY {unique}, {alone}, ctid DESC "
            f"ON CONFLICT ({unique}) {f'DO UPDATE SET {changes}' if changes else 'DO NOTHING'}"
        )
        self.drop = verbatim("DROP TABLE pgmodern_staging")

    def encoded(self, rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
        """Give each value the exact type of its column, which COPY BINARY does not convert to.

        Raises VectorError for a vector that its column cannot hold, ValueError or TypeError for a
        number.
        """
        encoders = [_encoder(column.type) for column in self.columns]
        for row in rows:
            yield [
                None if value is None else encode(value)
                for encode, value in zip(encoders, row, strict=True)
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


def count_of(result: Result[*tuple[Any, ...]]) -> int:
    """Return how many rows a statement inserted or updated."""
    assert isinstance(result, CursorResult)
    return result.rowcount


_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]


def _encoder(kind: TypeEngine[Any]) -> Encode:
    if isinstance(kind, TypeDecorator) and _converts(kind):
        inner = _encoder(kind.impl_instance)
        return lambda value: _unless_none(inner, kind.process_bind_param(value, _DIALECT))
    if isinstance(kind, ARRAY):
        item = _encoder(kind.item_type)
        return lambda value: [_unless_none(item, each) for each in value]
    return _of_its_own(kind) or next(
        (wire for sql_type, wire in _WIRE if isinstance(kind, sql_type)), lambda value: value
    )


def _converts(kind: TypeDecorator[Any]) -> bool:
    """Whether the application makes something else of a value before it is stored."""
    return type(kind).process_bind_param is not TypeDecorator.process_bind_param


def _of_its_own(kind: TypeEngine[Any]) -> Encode | None:
    if isinstance(kind, Vector | HalfVector):
        number = np.dtype(kind.scalar).newbyteorder(">")
        return lambda value: _sent(kind.check(value), number)
    if isinstance(kind, DateTime):
        return lambda value: _in_its_zone(kind, value)
    if isinstance(kind, Enum):
        name: Encode | None = kind.bind_processor(_DIALECT)  # type: ignore[no-untyped-call]
        return name
    return None


def _sent(vector: NDArray[np.float32], number: np.dtype[Any]) -> bytes:
    """Return a vector as pgvector receives it: how many numbers, two bytes of zero, and these."""
    return pack(">HH", vector.size, 0) + vector.astype(number).tobytes()


def _unless_none(encode: Encode, value: Any) -> Any:
    return None if value is None else encode(value)


def _in_its_zone(kind: DateTime, value: datetime) -> datetime:
    if (value.tzinfo is not None) != kind.timezone:
        raise ValueError(f"{value!r} has {'no' if kind.timezone else 'a'} time zone")
    return value
