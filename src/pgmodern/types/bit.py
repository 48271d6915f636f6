"""`bit`: a vector of booleans."""

from collections.abc import Callable
from struct import pack
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.types import TypeEngine

from pgmodern.errors import VectorError
from pgmodern.types.checked import Checked, Encode
from pgmodern.types.comparator import BitComparator
from pgmodern.types.numbers import as_array

# In binary: how many bits, and the bits, filled up to whole bytes.
_HEADER = 4


class Bit(Checked, TypeEngine[Any]):
    """`bit(length)`: booleans, up to 64,000 of them under an HNSW index.

    Values are sequences of booleans, or a text of zeros and ones; results are arrays of numpy.
    """

    __visit_name__ = "BIT"
    # SQLAlchemy 2.0 knows none.
    operator_classes: ClassVar[Any] = getattr(BIT, "operator_classes", None)
    comparator_factory = BitComparator
    cache_ok = True
    literal_prefix = "B"
    varying = False

    def __init__(self, length: int) -> None:
        self.length = length

    def check(self, value: ArrayLike) -> NDArray[np.bool_]:
        """Return the value as booleans; raises VectorError when this column cannot hold it."""
        if isinstance(value, str) and set(value) <= {"0", "1"}:
            value = [digit == "1" for digit in value]
        given = as_array(value)
        if given is None or given.dtype != np.bool_ or given.ndim != 1:
            raise VectorError(
                "The bits are neither booleans nor a text of zeros and ones.", "Pass booleans."
            )
        if given.size != self.length:
            raise VectorError(
                f"There are {given.size:,} bits, the column takes {self.length:,}.",
                "PostgreSQL would cut them off, or fill them up with zeros.",
            )
        return given

    def to_binary(self, value: ArrayLike) -> bytes:
        """Return a value as the server receives it; raises VectorError as `check` does."""
        return pack(">i", self.length) + np.packbits(self.check(value)).tobytes()

    def to_text(self, value: ArrayLike) -> str:
        """Return a value as zeros and ones; raises VectorError likewise."""
        return "".join("1" if bit else "0" for bit in self.check(value))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Decode a result, whichever format it came in."""
        return _decoded

    def _is_same(self, x: Any, y: Any) -> bool:
        return np.array_equal(x, y)

    def _encoder(self, dialect: Dialect) -> Encode:
        if dialect.driver != "asyncpg":
            return super()._encoder(dialect)
        from asyncpg import BitString  # noqa: PLC0415  (who uses its dialect has it)

        return lambda value: BitString(self.to_text(value))


def _decoded(value: Any) -> NDArray[np.bool_] | None:
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        count = int.from_bytes(value[:_HEADER], "big")
        packed = np.frombuffer(value, np.uint8, offset=_HEADER)
        return np.unpackbits(packed, count=count).astype(np.bool_)
    for name in ("as_string", "to_text"):  # asyncpg's and pgvector's classes
        if hasattr(value, name):
            value = getattr(value, name)().replace(" ", "")
    bits: NDArray[np.bool_] = np.frombuffer(value.encode(), np.uint8) == ord("1")
    return bits
