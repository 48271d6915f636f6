"""Values as psycopg copies them: in binary, of exactly the column's type."""

from decimal import Decimal
from math import isfinite
from operator import index
from typing import Any

import numpy as np
from psycopg.types.json import Json, Jsonb
from psycopg.types.numeric import Float4, Float8, Int2, Int4, Int8
from sqlalchemy import JSON, REAL, BigInteger, Float, Integer, Numeric, SmallInteger
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pgmodern.queries.encoding.values import Encode, checked, nested
from pgmodern.types import vector_type


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


def encoder(kind: TypeEngine[Any]) -> Encode:
    """Return what gives a value the exact type of its column, which COPY BINARY does not."""
    if (inner := nested(kind, encoder)) is not None:
        return inner
    if (vector := vector_type(kind)) is not None:
        return vector.to_binary
    wires = (wire for of, wire in _WIRE if isinstance(kind, of))
    return checked(kind) or next(wires, lambda value: value)


def carrier(_: TypeEngine[Any]) -> str | None:
    """Every type is sent as itself."""
    return None
