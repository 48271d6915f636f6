"""pgvector's types as SQLAlchemy types: a file per type.

No registration is needed on a connection, and no type's OID is ever looked up: a parameter goes
out with a cast, from which the server takes its type, and a result is decoded by the column's type
in SQLAlchemy, whichever driver it comes from and in whichever format. Over an engine of
`pgmodern.create_engine` parameters go out in binary, elsewhere as text.
"""

from pgmodern.types.aggregates import avg, sum  # noqa: A004  (as in SQL, and in pgvector's package)
from pgmodern.types.bit import Bit
from pgmodern.types.column_type import VectorType, vector_type
from pgmodern.types.half_vector import HalfVector
from pgmodern.types.sparse_vector import SparseVector
from pgmodern.types.vector import Vector

__all__ = [
    "Bit",
    "HalfVector",
    "SparseVector",
    "Vector",
    "VectorType",
    "avg",
    "sum",
    "vector_type",
]
