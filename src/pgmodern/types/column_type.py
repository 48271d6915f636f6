"""Which of our types a column's type is, whoever wrote it."""

import sys
from typing import Any

from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.types import TypeDecorator, TypeEngine

from pgmodern.types.bit import Bit
from pgmodern.types.half_vector import HalfVector
from pgmodern.types.sparse_vector import SparseVector
from pgmodern.types.vector import Vector

VectorType = Vector | HalfVector | SparseVector | Bit
_OF_PGVECTOR = {"VECTOR": Vector, "HALFVEC": HalfVector, "SPARSEVEC": SparseVector}


def vector_type(kind: TypeEngine[Any]) -> VectorType | None:
    """Return the type of ours that is the same in PostgreSQL; None for one that is no vector.

    It may be ours, one of `pgvector.sqlalchemy`, SQLAlchemy's BIT, or a decorator of one of them.
    """
    if isinstance(kind, VectorType):
        return kind
    # Who has such a column has imported the package; for others it would change reflection.
    package = sys.modules.get("pgvector.sqlalchemy")
    for name, ours in _OF_PGVECTOR.items():
        if package is not None and isinstance(kind, getattr(package, name)):
            found: VectorType = ours(kind.dim)
            return found
    if isinstance(kind, TypeDecorator):
        return vector_type(kind.impl_instance)
    # The BIT of pgvector was a type of its own once.
    is_bit = isinstance(kind, BIT) or (package is not None and isinstance(kind, package.BIT))
    if is_bit and not getattr(kind, "varying", False):
        return Bit(kind.length or 1)  # type: ignore[attr-defined]
    return None
