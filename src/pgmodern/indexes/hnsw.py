"""HNSW indexes: nearest neighbours of a vector column."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from numpy.typing import ArrayLike
from sqlalchemy import ColumnElement, Float, cast, func, literal, literal_column

from pgmodern.extensions import VECTOR, Extension
from pgmodern.indexes.declared import DeclaredIndex, Source, as_column
from pgmodern.types import HalfVector, Vector

VECTOR_DIMENSIONS, HALFVEC_DIMENSIONS = 2_000, 4_000

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


class HnswIndex(DeclaredIndex):
    """HNSW on a vector column (pgvector's README, HNSW).

    `m` is the number of links of a node, `ef_construction` the breadth of the search that places
    it: pgvector's own default, 64, builds faster, 128 lets every search find more. A column of
    more than 2,000 dimensions is indexed as `halfvec`, which `as_halfvec` also asks for on a
    smaller one: half the index's size for a recall that differs in the third digit. A number
    above 65,504 fits no `halfvec`, and the INSERT of one fails; of `normalised` vectors none is
    above 1, and a cosine is the same.
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
        as_halfvec: bool = False,
        normalised: bool = False,
        where: ColumnElement[bool] | None = None,
    ) -> None:
        self.metric = metric
        vector = as_column(column)
        stored = vector.type
        if not isinstance(stored, Vector | HalfVector) or stored.dim is None:
            raise TypeError(f"{name}: HNSW needs a column of type Vector(n) or HalfVector(n)")
        if stored.dim > HALFVEC_DIMENSIONS:
            raise TypeError(f"{name}: HNSW takes {HALFVEC_DIMENSIONS:,} dimensions at the most")
        halved = isinstance(stored, Vector) and (as_halfvec or stored.dim > VECTOR_DIMENSIONS)
        if normalised and not (halved and metric == "cosine"):
            raise TypeError(f"{name}: normalised is for a halfvec of a vector, by cosine")
        whole = func.l2_normalize(vector) if normalised else vector
        self.operand: Vector | HalfVector = HalfVector(stored.dim) if halved else stored
        prefix = "halfvec" if isinstance(self.operand, HalfVector) else "vector"
        super().__init__(
            name,
            cast(whole, self.operand).label("embedding") if halved else column,
            method="hnsw",
            opclass=f"{prefix}_{_METRICS[metric].opclass}",
            parameters={"m": m, "ef_construction": ef_construction},
            where=where,
        )

    def literal(self, vector: ArrayLike) -> ColumnElement[Any]:
        """Return the vector as a parameter; raises VectorError when the column cannot hold it."""
        return literal(self.operand.check(vector), self.operand)

    def distance(self, vector: ColumnElement[Any]) -> ColumnElement[float]:
        """The distance that the index orders by; put it alone in ORDER BY, ascending."""
        return self.distance_of(self.indexed, vector)

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
            return cast(1 / (1 + distance), Float())
        product = 1 - distance if self.metric == "cosine" else -distance
        # PostgreSQL takes NaN for greater than any number.
        product = func.coalesce(func.nullif(product, literal_column("'NaN'::float8")), 0.0)
        return func.least(1.0, func.greatest(0.0, product), type_=Float())
