"""Values as asyncpg copies them: its own encoders make bytes of them.

It has none for a type of an extension. So a vector is carried by an array of real numbers, and a
sparse one by its text; the statement that stores the rows makes vectors of them.
"""

import json
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Float, Numeric
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.types import TypeEngine

from pgmodern.queries.encoding.values import Encode, checked, nested
from pgmodern.types import Bit, HalfVector, SparseVector, Vector, VectorType, vector_type


def encoder(kind: TypeEngine[Any]) -> Encode:
    """Return what makes of a value what asyncpg's encoder of the column's type takes."""
    if (inner := nested(kind, encoder)) is not None:
        return inner
    if (vector := vector_type(kind)) is not None:
        return _of_vector(vector)
    return checked(kind) or _of_plain(kind)


def _of_vector(vector: VectorType) -> Encode:
    if isinstance(vector, Vector | HalfVector):
        return lambda value: vector.check(value).tolist()
    if isinstance(vector, Bit):
        return vector.bind_processor(PGDialect_asyncpg())  # type: ignore[no-untyped-call]
    return vector.to_text


def _of_plain(kind: TypeEngine[Any]) -> Encode:
    if isinstance(kind, JSON):
        return json.dumps
    if isinstance(kind, Numeric) and not isinstance(kind, Float):
        return lambda value: Decimal(str(value))
    return lambda value: value


def carrier(kind: TypeEngine[Any]) -> str | None:
    """Return the type in which a value of the column is sent; None: in the column's own."""
    vector = vector_type(kind)
    if isinstance(vector, Vector | HalfVector):
        return "real[]"
    return "text" if isinstance(vector, SparseVector) else None
