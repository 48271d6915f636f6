"""The statements of a search by meaning."""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from numpy.typing import ArrayLike
from sqlalchemy import ColumnElement, Float, Table, bindparam

from pgmodern.indexes import HnswIndex
from pgmodern.queries import nearest, with_payload
from pgmodern.queries.statement import Statement
from pgmodern.repositories.conditions import Conditions, conditions
from pgmodern.repositories.repository import Values
from pgmodern.repositories.rows import R, Shown


class VectorStatements(Shown[R]):
    """The statements; `row` takes the columns of `payload` and the score.

    `stored` are the columns that `store` fills, `unique` those that say which row is which.
    """

    vectors: ClassVar[HnswIndex]
    table: ClassVar[Table]
    stored: ClassVar[Sequence[str]]
    unique: ClassVar[Sequence[str]]

    def _nearest(
        self,
        vector: ArrayLike,
        k: int,
        where: tuple[ColumnElement[bool], ...],
        breadth: tuple[int | None, int | None],
        threshold: float | None,
        values: Values,
    ) -> tuple[Statement, Values]:
        met, (ef_search, oversampling) = conditions(where), breadth
        # What the index is tuned to is a part of what the statement is kept by.
        breadth = ef_search or self.vectors.ef_search, oversampling or self.vectors.oversampling
        near = None if threshold is None else _THRESHOLD
        statement = _nearest(self.payload, self.vectors, k, met, breadth, near)
        sought = self.vectors.operand.check(vector)
        given = {**met.values, "pgmodern_vector": sought, **values}
        return statement, given if near is None else given | {near.key: threshold}

    def __init_subclass__(cls) -> None:
        """What is stored is a row of the table of the vectors."""
        super().__init_subclass__()
        if "vectors" in vars(cls):
            cls.table = cls.vectors.parent


_THRESHOLD = bindparam("pgmodern_threshold", type_=Float())


@lru_cache
def _nearest(
    payload: Statement,
    vectors: HnswIndex,
    k: int,
    met: Conditions,
    breadth: tuple[int | None, int | None],
    threshold: ColumnElement[float] | None,
) -> Statement:
    vector = bindparam("pgmodern_vector", type_=vectors.operand)
    ef_search, more = breadth
    found = nearest(
        vectors,
        vector,
        k,
        where=met.parameters,
        ef_search=ef_search,
        oversampling=more,
        threshold=threshold,
    )
    return with_payload(payload, found, vectors)
