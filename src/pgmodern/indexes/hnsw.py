"""HNSW indexes: nearest neighbours of a vector column."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sqlalchemy import ColumnElement, Float, cast, func, literal

from pgmodern.errors import DeclarationError
from pgmodern.extensions import VECTOR, Extension
from pgmodern.indexes.declared import DeclaredIndex, constant
from pgmodern.indexes.source import Source, as_column
from pgmodern.types import Bit, HalfVector, SparseVector, Vector, VectorType, vector_type

# The most dimensions that HNSW takes, by the type of what it holds (pgvector's README, HNSW). Of a
# sparse vector it takes any number, of which up to 1,000 are not zero.
VECTOR_DIMENSIONS, HALFVEC_DIMENSIONS, BITS = 2_000, 4_000, 64_000
EF_SEARCH = 100

Metric = Literal["cosine", "l2", "inner_product", "l1", "hamming", "jaccard"]


@dataclass(frozen=True, slots=True)
class _Metric:
    operator: str
    opclass: str


_METRICS: dict[Metric, _Metric] = {
    "cosine": _Metric("<=>", "cosine_ops"),
    "l2": _Metric("<->", "l2_ops"),
    "inner_product": _Metric("<#>", "ip_ops"),
    "l1": _Metric("<+>", "l1_ops"),
}
_OF_BITS: dict[Metric, _Metric] = {
    "hamming": _Metric("<~>", "hamming_ops"),
    "jaccard": _Metric("<%>", "jaccard_ops"),
}
_FAMILIES: dict[type[VectorType], str] = {
    Vector: "vector_",
    HalfVector: "halfvec_",
    SparseVector: "sparsevec_",
    Bit: "bit_",
}


class HnswIndex(DeclaredIndex):
    """HNSW on a column of vectors or of bits (pgvector's README, HNSW).

    The column's type is one of this package or of `pgvector.sqlalchemy`, with its dimensions. The
    `metric` is by default the cosine, of bits how many differ (`hamming`).

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
        metric: Metric | None = None,
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
        vector = as_column(column, f"Index {name}")
        stored = _stored(name, vector)
        self.metric = metric = _metric(name, stored, metric)
        self.coarse = quantised or prefix is not None
        kind = _indexed(name, stored, prefix=prefix, quantised=quantised, as_halfvec=as_halfvec)
        converted = isinstance(kind, HalfVector) and isinstance(stored, Vector)
        if normalised and (self.coarse or not (converted and metric == "cosine")):
            raise DeclarationError(
                f"Index {name} is of normalised vectors, but neither by cosine nor of a halfvec.",
                "Leave normalised out, or add as_halfvec=True; the column is a vector.",
            )
        if oversampling < 1:
            raise DeclarationError(f"Index {name} has an oversampling below 1.", "Give 1 or more.")
        self.ef_search, self.oversampling = ef_search, oversampling
        self.vector = vector
        self._quantised, self._prefix, self._kind = quantised, prefix, kind
        # What is sought is compared with the whole vectors in the end.
        self.operand: VectorType = stored if self.coarse else kind
        whole = func.l2_normalize(vector) if normalised else vector
        by = _OF_BITS["hamming"] if quantised else (_METRICS | _OF_BITS)[metric]
        self._operator = by.operator
        super().__init__(
            name,
            self._held(whole).label("embedding") if self.coarse or converted else column,
            method="hnsw",
            opclass=_family(kind) + by.opclass,
            parameters={"m": m, "ef_construction": ef_construction},
            where=where,
        )

    def _held(self, vector: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what the index holds of a vector, and compares of what is sought."""
        if self._prefix is not None:
            first, length = (literal(n, literal_execute=True) for n in (1, self._prefix))
            vector = func.subvector(vector, first, length)
        return cast(func.binary_quantize(vector) if self._quantised else vector, self._kind)

    def literal(self, vector: Any) -> ColumnElement[Any]:
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
        by = (_METRICS | _OF_BITS)[self.metric]
        return column.op(by.operator, return_type=Float())(vector)

    def score(self, distance: ColumnElement[float]) -> ColumnElement[float]:
        """Turn a distance into a similarity in 0..1; what points the other way scores 0.

        So does a vector of length zero, which has no direction: its cosine distance is NaN.
        """
        if self.metric in {"l2", "l1"}:
            return cast(constant(1) / (constant(1) + distance), Float())
        if isinstance(self.operand, Bit):
            differing = constant(float(self.operand.length)) if self.metric == "hamming" else None
            share = distance if differing is None else distance / differing
            return cast(constant(1) - share, Float())
        product = constant(1) - distance if self.metric == "cosine" else -distance
        # PostgreSQL takes NaN for greater than any number.
        product = func.coalesce(func.nullif(product, cast(constant("NaN"), Float)), constant(0.0))
        return func.least(constant(1.0), func.greatest(constant(0.0), product), type_=Float())


def _stored(name: str, column: ColumnElement[Any]) -> VectorType:
    stored = vector_type(column.type)
    if stored is None or not _size(stored):
        raise DeclarationError(
            f"Index {name} is on a column of type {column.type!r}.",
            "HNSW needs Vector(n), HalfVector(n), SparseVector(n) or Bit(n), with the dimensions; "
            "the types of pgvector.sqlalchemy are as good.",
        )
    return stored


def _family(kind: VectorType) -> str:
    return next(family for of, family in _FAMILIES.items() if isinstance(kind, of))


def _size(kind: VectorType) -> int | None:
    return kind.length if isinstance(kind, Bit) else kind.dim


def _metric(name: str, stored: VectorType, metric: Metric | None) -> Metric:
    possible = _OF_BITS if isinstance(stored, Bit) else _METRICS
    if metric is None:
        return next(iter(possible))
    if metric not in possible:
        raise DeclarationError(
            f"Index {name} has the metric {metric!r}, which no {type(stored).__name__} has.",
            f"Use one of {', '.join(possible)}.",
        )
    return metric


def _indexed(
    name: str, stored: VectorType, *, prefix: int | None, quantised: bool, as_halfvec: bool
) -> VectorType:
    """Return the type of what the index holds; raise DeclarationError where HNSW takes none."""
    size = _size(stored) or 0
    if not isinstance(stored, Vector | HalfVector):
        if quantised or as_halfvec or prefix is not None:
            raise DeclarationError(
                f"Index {name} is of {type(stored).__name__}, which is neither cut nor converted.",
                "Leave out prefix, quantised and as_halfvec.",
            )
        return _within(name, stored, size, BITS if isinstance(stored, Bit) else size)
    if prefix is not None and not 1 <= prefix < size:
        raise DeclarationError(
            f"Index {name} is of the first {prefix:,} of {size:,} dimensions.",
            f"A prefix has from 1 to {size - 1:,}.",
        )
    if quantised and as_halfvec:
        raise DeclarationError(
            f"Index {name} is of bits and of halfvec at once.", "Choose quantised or as_halfvec."
        )
    size = prefix or size
    if quantised:
        return _within(name, Bit(size), size, BITS)
    halved = isinstance(stored, Vector) and (as_halfvec or size > VECTOR_DIMENSIONS)
    return _within(
        name, HalfVector(size) if halved else type(stored)(size), size, HALFVEC_DIMENSIONS
    )


def _within(name: str, kind: VectorType, size: int, most: int) -> VectorType:
    if size > most:
        raise DeclarationError(
            f"Index {name} has {size:,} dimensions; HNSW takes {most:,} at the most.",
            "Index a prefix of them, or their signs: quantised=True.",
        )
    return kind
