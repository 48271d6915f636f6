"""Several searches fused by weighted reciprocal rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Float, func, literal, select, union_all

from pgmodern.indexes import DeclaredIndex
from pgmodern.queries.statement import Statement, rows

_SMOOTHING = 60


@dataclass(frozen=True, slots=True)
class Leg:
    """One search of the fusion, and how much its ranking counts."""

    search: Statement
    weight: float = 1.0


def hybrid(index: DeclaredIndex, legs: Sequence[Leg], limit: int = 10) -> Statement:
    """Select the rows that the legs rank highest together: key and score, the best first.

    The score is the sum of weight / (60 + rank) over the legs that found the row, as a part of
    what a row gets that is first in every leg (Cormack, Clarke and Buettcher, SIGIR 2009).
    `index` is any of the legs' indexes: it says which table's key they share.
    """
    if any(leg.weight < 0 for leg in legs) or not sum(leg.weight for leg in legs) > 0:
        raise ValueError("weights must not be negative, and some weight must be positive")
    best = sum(leg.weight for leg in legs) / (_SMOOTHING + 1)
    ranked = []
    for number, leg in enumerate(legs):
        found = leg.search.subquery(f"search_{number}")
        key = [found.c[column.key] for column in index.key]
        rank = func.row_number().over()  # in the search's own order
        part = literal(leg.weight / best, Float) / (_SMOOTHING + rank)
        ranked.append(select(*key, part.label("part")))
    fused = union_all(*ranked).subquery("ranked")
    key = [fused.c[column.key] for column in index.key]
    # Rounding may bring the best a little above one.
    score = func.least(1.0, func.sum(fused.c.part), type_=Float()).label("score")
    return select(*key, score).group_by(*key).order_by(score.desc(), *key).limit(rows(limit))
