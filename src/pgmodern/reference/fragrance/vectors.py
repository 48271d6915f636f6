"""What the fragrances' vectors must be."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgmodern.errors import VectorError
from pgmodern.reference.fragrance.models import EMBEDDING_DIMENSIONS
from pgmodern.types import Vector

Embedded = tuple[uuid.UUID, ArrayLike]

_VECTOR = Vector(EMBEDDING_DIMENSIONS)


def unit(vector: ArrayLike) -> NDArray[np.float32]:
    """Return a vector of length 1, all of whose numbers a halfvec holds."""
    whole = _VECTOR.check(vector).astype(np.float64)
    length = np.linalg.norm(whole)
    if not length:
        raise VectorError(
            "The vector has length zero, so no direction.", "Embed something that is not empty."
        )
    unit: NDArray[np.float32] = (whole / length).astype(np.float32)
    return unit


def of_version(version: int, embeddings: Iterable[Embedded]) -> Iterator[tuple[Any, ...]]:
    """Return what to store of a version's embeddings of fragrances."""
    return ((fragrance_id, version, unit(vector)) for fragrance_id, vector in embeddings)
