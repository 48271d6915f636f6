"""What pgvector takes for a vector: numbers, finite, as many as the column says."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgmodern.errors import VectorError

LARGEST = 16_000


def checked(value: ArrayLike, dimensions: int | None, limit: float) -> NDArray[np.float32]:
    """Return the value as float32, or raise VectorError that says what is wrong with it.

    `dimensions` is what the column takes (None: any), `limit` the largest magnitude it holds.
    """
    given = as_array(value)
    if given is None or given.dtype.kind not in "biuf":
        raise VectorError("The vector is not a sequence of numbers.", "Pass floats.")
    if given.ndim != 1:
        raise VectorError(f"The vector has {given.ndim} axes.", "Pass one axis.")
    require_dimensions(given.size, dimensions)
    if not 1 <= given.size <= LARGEST:
        raise VectorError(
            f"The vector has {given.size:,} dimensions.", f"A column takes 1 to {LARGEST:,}."
        )
    return finite(given, limit)


def require_dimensions(given: int, dimensions: int | None) -> None:
    """Raise VectorError unless a vector has as many dimensions as its column."""
    if dimensions is not None and given != dimensions:
        raise VectorError(
            f"The vector has {given:,} dimensions, the column takes {dimensions:,}.",
            "Embed with the model that the column was made for.",
        )


def finite(given: NDArray[Any], limit: float) -> NDArray[np.float32]:
    """Return numbers as float32; raise VectorError where one is above `limit` in magnitude."""
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


def as_array(value: ArrayLike) -> NDArray[Any] | None:
    """Return a value as an array; a vector of pgvector's own classes, too. None if it is none."""
    to_numpy = getattr(value, "to_numpy", None)  # pgvector's own classes, and a column of pandas
    try:
        return np.asarray(value if to_numpy is None else to_numpy())
    except (TypeError, ValueError):
        return None
