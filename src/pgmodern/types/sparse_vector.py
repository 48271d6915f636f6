"""`sparsevec`: few numbers that are not zero, of many."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sqlalchemy import Dialect
from sqlalchemy.types import UserDefinedType

from pgmodern.errors import VectorError
from pgmodern.types.checked import Checked
from pgmodern.types.comparator import VectorComparator
from pgmodern.types.numbers import as_array, finite, require_dimensions
from pgmodern.types.values import SparseValue
from pgmodern.types.wire import SparseText

__all__ = ["SparseValue", "SparseVector"]

MOST_ELEMENTS = 16_000
_LARGEST = float(np.finfo("float32").max)


class SparseVector(Checked, UserDefinedType[Any]):
    """`sparsevec(dimensions)`: up to 16,000 elements that are not zero, 1,000 under an HNSW index.

    Values are `pgvector.SparseVector`, a mapping from index, counted from 0, to number (then `dim`
    must be known), a sparse array of scipy's, or anything that numpy takes for numbers. Results
    are `pgvector.SparseVector`.
    """

    cache_ok = True
    comparator_factory = VectorComparator
    for_asyncpg = SparseText

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def get_col_spec(self, **_: Any) -> str:
        """Return the type as SQL writes it."""
        return "SPARSEVEC" if self.dim is None else f"SPARSEVEC({self.dim})"

    def check(self, value: Any) -> SparseValue:
        """Return the value as pgvector's; raises VectorError when this column cannot hold it."""
        vector = self._parsed(value)
        require_dimensions(vector.dimensions(), self.dim)
        indices, values = vector.indices(), vector.values()
        if not all(0 <= index < vector.dimensions() for index in indices):
            raise VectorError(
                "An index of the vector is outside its dimensions.",
                f"Indices are counted from 0, and below {vector.dimensions():,} here.",
            )
        if len(indices) > MOST_ELEMENTS:
            raise VectorError(
                f"The vector has {len(indices):,} elements that are not zero.",
                f"A column takes {MOST_ELEMENTS:,} at the most.",
            )
        if indices:
            finite(np.asarray(values), _LARGEST)
        return vector

    def _parsed(self, value: Any) -> SparseValue:
        if isinstance(value, SparseValue):
            return value
        try:
            if isinstance(value, Mapping):
                return SparseValue(dict(value), self._dimensions())
            if hasattr(value, "tocoo"):
                return SparseValue(value)
            array = as_array(value)
            if array is not None and array.ndim == 1 and array.dtype.kind in "biuf":
                return SparseValue(array.astype(np.float64))
        except VectorError:
            raise
        except (TypeError, ValueError) as error:
            raise _not_a_vector() from error
        raise _not_a_vector()

    def _dimensions(self) -> int:
        if self.dim is None:
            raise VectorError(
                "A mapping does not say how many dimensions the vector has.",
                "Pass pgvector.SparseVector(mapping, dimensions).",
            )
        return self.dim

    def to_binary(self, value: Any) -> bytes:
        """Return a value as the server receives it; raises VectorError as `check` does."""
        return self.check(value).to_binary()

    def to_text(self, value: Any) -> str:
        """Return a value as SQL writes it, but for the quotes; raises VectorError likewise."""
        return self.check(value).to_text()

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Decode a result, whichever format it came in."""
        return _decoded

    def _is_same(self, x: SparseValue, y: SparseValue) -> bool:
        return _parts(x) == _parts(y)


def _parts(vector: SparseValue) -> tuple[int, list[int], list[float]]:
    return vector.dimensions(), list(vector.indices()), list(vector.values())


def _not_a_vector() -> VectorError:
    return VectorError(
        "The value is not a sparse vector.",
        "Pass pgvector.SparseVector, a mapping from index to number, or a sequence of numbers.",
    )


def _decoded(value: Any) -> SparseValue | None:
    if isinstance(value, str):
        vector = SparseValue.from_text(value)
        # The text has as few digits as tell a number of 32 bits from others.
        numbers = np.asarray(vector.values(), np.float32).tolist()
        elements = dict(zip(vector.indices(), numbers, strict=True))
        return SparseValue(elements, vector.dimensions())
    if isinstance(value, bytes | bytearray | memoryview):
        return SparseValue.from_binary(bytes(value))
    decoded: SparseValue | None = value
    return decoded
