"""Suggestions while somebody types."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Float, cast, func, select

from pgmodern.indexes import TrigramIndex
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.text import Typed, sought


def suggest(
    index: TrigramIndex,
    prefix: Typed,
    limit: int = 10,
    *,
    where: Sequence[ColumnElement[bool]] = (),
) -> Statement:
    """Select the rows that start with the prefix: key and score, the shortest text first.

    The score is the part of the text that is typed already.
    """
    typed = sought(prefix)
    length = func.greatest(1, func.length(index.indexed))
    score = func.least(1.0, cast(func.length(typed), Float) / length, type_=Float).label("score")
    has_letters = func.cardinality(func.show_trgm(typed)) > 0
    return (
        select(*index.key, score)
        .where(index.starts_with(typed), has_letters, *index.conditions, *where)
        .order_by(score.desc(), *index.key)
        .limit(rows(limit))
    )
