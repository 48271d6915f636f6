"""What `vector` and `halfvec` share."""

from collections.abc import Callable
from struct import pack
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import Dialect
from sqlalchemy.types import UserDefinedType

from pgmodern.types.checked import Checked
from pgmodern.types.comparator import VectorComparator
from pgmodern.types.numbers import as_array, checked

# In binary: how many numbers, two bytes of zero, and the numbers, most significant byte first.
_HEADER = 4
_SIZES: dict[int, np.dtype[Any]] = {4: np.dtype(">f4"), 2: np.dtype(">f2")}


class Dense(Checked, UserDefinedType[Any]):
    """A vector of numbers of one size; `name` is the type's in SQL, `scalar` numpy's of a number.

    `dim` is how many numbers, None for any. Values are anything that numpy takes for numbers, and
    pgvector's own classes; results are arrays, with `as_list` lists.
    """

    comparator_factory = VectorComparator
    name: ClassVar[str]
    scalar: ClassVar[str]

    # SQLAlchemy keys a type by its arguments that are not keywords only.
    def __init__(self, dim: int | None = None, as_list: bool = False) -> None:
        self.dim = dim
        self.as_list = as_list

    def get_col_spec(self, **_: Any) -> str:
        """Return the type as SQL writes it."""
        return self.name if self.dim is None else f"{self.name}({self.dim})"

    def check(self, value: ArrayLike) -> NDArray[np.float32]:
        """Return the value as float32; raises VectorError when this column cannot hold it."""
        return checked(value, self.dim, float(np.finfo(self.scalar).max))

    def to_binary(self, value: ArrayLike) -> bytes:
        """Return a value as the server receives it; raises VectorError as `check` does."""
        vector = self.check(value)
        number = np.dtype(self.scalar).newbyteorder(">")
        return pack(">HH", vector.size, 0) + vector.astype(number).tobytes()

    def to_text(self, value: ArrayLike) -> str:
        """Return a value as SQL writes it, but for the quotes; raises VectorError likewise."""
        return f"[{','.join(map(repr, self.check(value).tolist()))}]"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Decode a result, whichever format it came in."""
        if self.as_list:
            return lambda value: None if value is None else self._decoded(value).tolist()
        return lambda value: None if value is None else self._decoded(value)

    def _decoded(self, value: Any) -> NDArray[Any]:
        if isinstance(value, str):
            return np.array(value[1:-1].split(","), dtype=self.scalar)
        if isinstance(value, bytes | bytearray | memoryview):
            return from_binary(value).astype(self.scalar)
        # The application registered a decoder of its own, pgvector's for example.
        array = as_array(value)
        assert array is not None, value
        return array.astype(self.scalar)

    def _is_same(self, x: Any, y: Any) -> bool:
        return np.array_equal(x, y)


def from_binary(value: bytes | bytearray | memoryview) -> NDArray[Any]:
    """Return the numbers of a `vector` or of a `halfvec`, which their count tells apart."""
    count = int.from_bytes(value[:2], "big")
    number = _SIZES[(len(value) - _HEADER) // count]
    numbers: NDArray[Any] = np.frombuffer(value, number, offset=_HEADER)
    return numbers
