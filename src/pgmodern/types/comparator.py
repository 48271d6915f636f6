"""The distances of pgvector's operators, as methods of a column; named as in pgvector's package."""

from typing import Any

from sqlalchemy import Float, Operators
from sqlalchemy.types import TypeEngine


class VectorComparator(TypeEngine.Comparator[Any]):
    """The distances of vectors (pgvector's README, Querying)."""

    def l2_distance(self, other: object, /) -> Operators:
        """Euclidean distance: `<->`."""
        return self.op("<->", return_type=Float())(other)

    def max_inner_product(self, other: object, /) -> Operators:
        """The inner product, negative, so that the greatest comes first: `<#>`."""
        return self.op("<#>", return_type=Float())(other)

    def cosine_distance(self, other: object, /) -> Operators:
        """Cosine distance: `<=>`."""
        return self.op("<=>", return_type=Float())(other)

    def l1_distance(self, other: object, /) -> Operators:
        """Taxicab distance: `<+>`."""
        return self.op("<+>", return_type=Float())(other)


class BitComparator(TypeEngine.Comparator[Any]):
    """The distances of bits (pgvector's README, Binary Vectors)."""

    def hamming_distance(self, other: object, /) -> Operators:
        """How many bits differ: `<~>`."""
        return self.op("<~>", return_type=Float())(other)

    def jaccard_distance(self, other: object, /) -> Operators:
        """The share of set bits that only one of both has: `<%>`."""
        return self.op("<%>", return_type=Float())(other)
