"""HNSW indexes: nearest neighbours of a vector column."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from numpy.typing import ArrayLike
from sqlalchemy import ColumnElement, Float, cast, func, literal

from pgmodern.extensions import VECTOR, Extension
from pgmodern.indexes.declared import DeclaredIndex, Source, as_column, constant
from pgmodern.types import Bit, HalfVector, Vector

VECTOR_DIMENSIONS, HALFVEC_DIMENSIONS, BITS = 2_000, 4_000, 64_000
EF_SEARCH = 100

Metric = Literal["cosine", "l2", "inner_product"]


@dataclass(frozen=True, slots=True)
class _Metric:
    operator: str
    opclass: str


_METRICS: dict[Metric, _Metric] = {
    "cosine": _Metric("<=>", "cosine_ops"),
    "l2": _Metric("<->", "l2_ops"),
    "inner_product": _Metric("<#>", "ip_ops"),
}
_HAMMING = _Metric("<~>", "bit_hamming_ops")


class HnswIndex(DeclaredIndex):
    """HNSW on a vector column (pgvector's README, HNSW).

    `m` is the number of links of a node, `ef_construction` the breadth of the search that places
    it: pgvector's own default, 64, builds faster, 128 lets every search find more. A column of
    more than 2,000 dimensions is indexed as `halfvec`, which `as_halfvec` also asks for on a
    smaller one: half the index's size for a recall that differs in the third digit. A number
    above 65,504 fits no `halfvec`, and the INSERT of one fails; of `normalised` vectors none is
    above 1, and a cosine is the same.

    `ef_search` is how broadly it is searched, unless a query says otherwise.

    A coarse index holds less: the first `prefix` dimensions (of a Matryoshka model they say the
    most), or, `quantised`, a bit for the sign of each number. A search finds `oversampling` times
    as many rows as were asked for by it, and the whole vectors put those in order.
    """

    extensions: ClassVar[tuple[Extension, ...]] = (VECTOR,)

    def __init__(
        self,
        name: str,
        column: Source,
        *,
        metric: Metric = "cosine",
        m: int = 16,
        ef_construction: int = 128,
        ef_search: int = EF_SEARCH,
        as_halfvec: bool = False,
        normalised: bool = False,
        prefix: int | None = None,
        quantised: bool = False,
        oversampling: int = 8,
        where: ColumnElement[bool] | None = None,
    ) -> None:
        self.metric = metric
        vector = as_column(column)
        stored = vector.type
        if not isinstance(stored, Vector | HalfVector) or stored.dim is None:
            raise TypeError(f"{name}: HNSW needs a column of type Vector(n) or HalfVector(n)")
        if prefix is not None and not 1 <= prefix < stored.dim:
            raise TypeError(f"{name}: a prefix has from 1 to {stored.dim - 1:,} dimensions")
        dimensions, most = prefix or stored.dim, BITS if quantised else HALFVEC_DIMENSIONS
        if dimensions > most:
            raise TypeError(f"{name}: HNSW takes {most:,} dimensions at the most")
        halved = isinstance(stored, Vector) and (as_halfvec or dimensions > VECTOR_DIMENSIONS)
        self.coarse = quantised or prefix is not None
        if normalised and (self.coarse or not (halved and metric == "cosine")):
            raise TypeError(f"{name}: normalised is for a halfvec of a vector, by cosine")
        if quantised and as_halfvec:
            raise TypeError(f"{name}: quantised vectors are neither vector nor halfvec")
        if oversampling < 1:
            raise ValueError(f"{name}: oversampling must not be below 1")
        self.ef_search, self.oversampling = ef_search, oversampling
        self.vector = vector
        self._quantised, self._prefix = quantised, prefix
        kind = type(stored)(dimensions)
        self._kind: Vector | HalfVector | Bit = (
            Bit(dimensions) if quantised else HalfVector(dimensions) if halved else kind
        )
        # What is sought is compared with the whole vectors in the end.
        self.operand: Vector | HalfVector = (
            stored if self.coarse or isinstance(self._kind, Bit) else self._kind
        )
        whole = func.l2_normalize(vector) if normalised else vector
        by = _HAMMING if quantised else _METRICS[metric]
        self._operator = by.operator
        family = "halfvec_" if isinstance(self._kind, HalfVector) else "vector_"
        super().__init__(
            name,
            self._held(whole).label("embedding") if self.coarse or halved else column,
            method="hnsw",
            opclass=by.opclass if quantised else family + by.opclass,
            parameters={"m": m, "ef_construction": ef_construction},
            where=where,
        )

    def _held(self, vector: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what the index holds of a vector, and compares of what is sought."""
        if self._prefix is not None:
            first, length = (literal(n, literal_execute=True) for n in (1, self._prefix))
            vector = func.subvector(vector, first, length)
        return cast(func.binary_quantize(vector) if self._quantised else vector, self._kind)

    def literal(self, vector: ArrayLike) -> ColumnElement[Any]:
        """Return the vector as a parameter; raises VectorError when the column cannot hold it."""
        return literal(self.operand.check(vector), self.operand)

    def distance(self, vector: ColumnElement[Any]) -> ColumnElement[float]:
        """The distance that the index orders by; put it alone in ORDER BY, ascending."""
        sought = self._held(vector) if self.coarse else vector
        return self.indexed.op(self._operator, return_type=Float())(sought)

    def exact_distance(self, vector: ColumnElement[Any]) -> ColumnElement[float]:
        """The distance that rows are put in order by in the end, not served by the index."""
        exact = self.distance_of(self.vector, vector) if self.coarse else self.distance(vector)
        return exact + constant(0)  # so that another index of the column does not serve it either

    def distance_of(
        self, column: ColumnElement[Any], vector: ColumnElement[Any]
    ) -> ColumnElement[float]:
        """The distance, by the index's metric, of a column of any number of dimensions."""
        return column.op(_METRICS[self.metric].operator, return_type=Float())(vector)

    def score(self, distance: ColumnElement[float]) -> ColumnElement[float]:
        """Turn a distance into a similarity in 0..1; what points the other way scores 0.

        So does a vector of length zero, which has no direction: its cosine distance is NaN.
        """
        if self.metric == "l2":
            return cast(constant(1) / (constant(1) + distance), Float())
        product = constant(1) - distance if self.metric == "cosine" else -distance
        # PostgreSQL takes NaN for greater than any number.
        product = func.coalesce(func.nullif(product, cast(constant("NaN"), Float)), constant(0.0))
        return func.least(constant(1.0), func.greatest(constant(0.0), product), type_=Float())
