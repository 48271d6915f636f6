"""pgvector's types as SQLAlchemy types: binary on the wire, numpy in Python.

No registration is needed on a connection, and no type's OID is ever looked up: a parameter goes
out in binary with a cast, from which the server takes its type, and a result is decoded by the
column's type in SQLAlchemy, whichever format it came in.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pgvector
import psycopg
from numpy.typing import ArrayLike, NDArray
from pgvector.psycopg.halfvec import HalfVectorBinaryDumper
from pgvector.psycopg.vector import VectorBinaryDumper
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.base import ischema_names

from pgmodern.errors import VectorError


def checked(value: ArrayLike, dimensions: int | None, limit: float) -> NDArray[np.float32]:
    """Return the value as float32, or raise VectorError that says what is wrong with it.

    `dimensions` is what the column takes (None: any), `limit` the largest magnitude it holds.
    """
    try:
        vector = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise VectorError("The vector is not a sequence of numbers.", "Pass floats.") from None
    if vector.ndim != 1:
        raise VectorError(f"The vector has {vector.ndim} axes.", "Pass one axis.")
    if dimensions is not None and vector.size != dimensions:
        raise VectorError(
            f"The vector has {vector.size:,} dimensions, the column takes {dimensions:,}.",
            "Embed with the model that the column was made for.",
        )
    unfit = ~(np.abs(vector) <= limit)
    if unfit.any():
        first = int(unfit.argmax())
        raise VectorError(
            f"The vector holds {vector[first]} at position {first}.",
            f"Every number must be finite and at most {limit:g} in magnitude.",
        )
    return vector


class Vector(VECTOR):
    """`vector(dimensions)`: float32, up to 16,000 dimensions, up to 2,000 under an HNSW index."""

    cache_ok = True
    render_bind_cast = True
    limit: ClassVar[float] = float(np.finfo(np.float32).max)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], pgvector.Vector | None]:  # noqa: ARG002
        def process(value: Any) -> pgvector.Vector | None:
            return None if value is None else pgvector.Vector(self.check(value))

        return process

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002
        coltype: object,  # noqa: ARG002
    ) -> Callable[[Any], NDArray[np.float32] | None]:
        def process(value: Any) -> NDArray[np.float32] | None:
            if value is None:
                return None
            if isinstance(value, str):
                return np.array(value[1:-1].split(","), dtype=np.float32)
            return np.frombuffer(value, ">f4", offset=4).astype(np.float32)

        return process

    def check(self, value: ArrayLike) -> NDArray[np.float32]:
        """Return the value as float32; raises VectorError when this column cannot hold it."""
        return checked(value, self.dim, self.limit)


class HalfVector(HALFVEC):
    """`halfvec(dimensions)`: float16, up to 16,000 dimensions, up to 4,000 under an HNSW index."""

    cache_ok = True
    render_bind_cast = True
    limit: ClassVar[float] = float(np.finfo(np.float16).max)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], pgvector.HalfVector | None]:  # noqa: ARG002
        def process(value: Any) -> pgvector.HalfVector | None:
            return None if value is None else pgvector.HalfVector(self.check(value))

        return process

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002
        coltype: object,  # noqa: ARG002
    ) -> Callable[[Any], NDArray[np.float16] | None]:
        def process(value: Any) -> NDArray[np.float16] | None:
            if value is None:
                return None
            if isinstance(value, str):
                return np.array(value[1:-1].split(","), dtype=np.float16)
            return np.frombuffer(value, ">f2", offset=4).astype(np.float16)

        return process

    def check(self, value: ArrayLike) -> NDArray[np.float32]:
        """Return the value as float32; raises VectorError when this column cannot hold it."""
        return checked(value, self.dim, self.limit)


def register() -> None:
    """Let psycopg send pgvector's values in binary, and reflection see our types."""
    psycopg.adapters.register_dumper(pgvector.Vector, VectorBinaryDumper)
    psycopg.adapters.register_dumper(pgvector.HalfVector, HalfVectorBinaryDumper)
    ischema_names["vector"] = Vector
    ischema_names["halfvec"] = HalfVector


register()
