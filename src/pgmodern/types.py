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
from pgvector.psycopg.bit import BitBinaryDumper
from pgvector.psycopg.halfvec import HalfVectorBinaryDumper
from pgvector.psycopg.vector import VectorBinaryDumper
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeEngine

from pgmodern.errors import VectorError

LARGEST = 16_000


def checked(value: ArrayLike, dimensions: int | None, limit: float) -> NDArray[np.float32]:
    """Return the value as float32, or raise VectorError that says what is wrong with it.

    `dimensions` is what the column takes (None: any), `limit` the largest magnitude it holds.
    """
    given = _array(value)
    if given is None or given.dtype.kind not in "biuf":
        raise VectorError("The vector is not a sequence of numbers.", "Pass floats.")
    if given.ndim != 1:
        raise VectorError(f"The vector has {given.ndim} axes.", "Pass one axis.")
    if dimensions is not None and given.size != dimensions:
        raise VectorError(
            f"The vector has {given.size:,} dimensions, the column takes {dimensions:,}.",
            "Embed with the model that the column was made for.",
        )
    if not 1 <= given.size <= LARGEST:
        raise VectorError(
            f"The vector has {given.size:,} dimensions.", f"A column takes 1 to {LARGEST:,}."
        )
    with np.errstate(over="ignore"):
        vector = given.astype(np.float32)
        # The sum of the squares, a tenth of the time, is enough to see that no number is too large.
        if float(vector.dot(vector)) <= limit * limit:
            return vector
    magnitudes = np.abs(vector)
    if not magnitudes.max() <= limit:  # nor is NaN
        first = int((~(magnitudes <= limit)).argmax())
        raise VectorError(
            f"The vector holds {vector[first]} at position {first}.",
            f"Every number must be finite and at most {limit:g} in magnitude.",
        )
    return vector


def _array(value: ArrayLike) -> NDArray[Any] | None:
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        return None


class _Checked:
    """What both types share; `wire` is pgvector's value, `scalar` numpy's type of one number."""

    dim: int | None
    wire: ClassVar[Any]
    scalar: ClassVar[str]

    def check(self, value: ArrayLike) -> NDArray[np.float32]:
        """Return the value as float32; raises VectorError when this column cannot hold it."""
        return checked(value, self.dim, float(np.finfo(self.scalar).max))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:  # noqa: ARG002
        """Check a parameter and have it sent in binary."""
        return lambda value: None if value is None else self.wire(self.check(value))

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        """Check a value that is written into a statement."""
        return lambda value: f"'{self.wire(self.check(value)).to_text()}'"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Decode a result, whichever format it came in."""
        return self._decoded

    def _decoded(self, value: Any) -> NDArray[Any] | None:
        if value is None:
            return None
        if isinstance(value, str):
            return np.array(value[1:-1].split(","), dtype=self.scalar)
        if isinstance(value, self.wire):  # pgvector's own loaders are registered
            value = value.to_binary()
        return np.frombuffer(value, np.dtype(self.scalar).newbyteorder(">"), offset=4).astype(
            self.scalar
        )

    def compare_values(self, x: Any, y: Any) -> bool:
        """Tell the unit of work whether a vector has changed."""
        if x is None or y is None:
            return x is y
        try:
            return np.array_equal(self.check(x), self.check(y))
        except VectorError:
            return False  # so that the wrong one is sent, and refused


class Vector(_Checked, VECTOR):
    """`vector(dimensions)`: float32, up to 16,000 dimensions, up to 2,000 under an HNSW index."""

    cache_ok = True
    render_bind_cast = True
    wire = pgvector.Vector
    scalar = "float32"


class HalfVector(_Checked, HALFVEC):
    """`halfvec(dimensions)`: float16, up to 16,000 dimensions, up to 4,000 under an HNSW index."""

    cache_ok = True
    render_bind_cast = True
    wire = pgvector.HalfVector
    scalar = "float16"


class Bit(TypeEngine[NDArray[np.bool_]]):
    """`bit(length)`: booleans, up to 64,000 of them under an HNSW index; numpy in Python."""

    __visit_name__ = "BIT"
    operator_classes = BIT.operator_classes
    cache_ok = True
    render_bind_cast = True
    varying = False

    def __init__(self, length: int) -> None:
        self.length = length

    def check(self, value: ArrayLike) -> NDArray[np.bool_]:
        """Return the value as booleans; raises VectorError when this column cannot hold it."""
        given = _array(value)
        if given is None or given.dtype != np.bool_ or given.ndim != 1:
            raise VectorError("The bits are not a sequence of booleans.", "Pass booleans.")
        if given.size != self.length:
            raise VectorError(
                f"There are {given.size:,} bits, the column takes {self.length:,}.",
                "PostgreSQL would cut them off, or fill them up with zeros.",
            )
        return given

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:  # noqa: ARG002
        """Check a parameter and have it sent in binary."""
        return lambda value: None if value is None else pgvector.Bit(self.check(value))

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        """Check a value that is written into a statement."""
        return lambda value: f"B'{pgvector.Bit(self.check(value)).to_text()}'"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Decode a result, whichever format it came in."""
        return _bits

    def compare_values(self, x: Any, y: Any) -> bool:
        """Tell the unit of work whether the bits have changed."""
        return np.array_equal(x, y)


def _bits(value: Any) -> NDArray[np.bool_] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = pgvector.Bit(value)
    elif not isinstance(value, pgvector.Bit):  # it is when pgvector's own loaders are registered
        value = pgvector.Bit.from_binary(value)
    bits: NDArray[np.bool_] = value.to_numpy()
    return bits


def register() -> None:
    """Let psycopg send pgvector's values in binary, and reflection see our types."""
    psycopg.adapters.register_dumper(pgvector.Bit, BitBinaryDumper)
    psycopg.adapters.register_dumper(pgvector.Vector, VectorBinaryDumper)
    psycopg.adapters.register_dumper(pgvector.HalfVector, HalfVectorBinaryDumper)
    ischema_names["vector"] = Vector
    ischema_names["halfvec"] = HalfVector


register()
