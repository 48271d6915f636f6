"""Suggestions while somebody types."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Float, cast, false, func, select

from pgmodern.indexes import TrigramIndex
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.text import cleaned, words


def suggest(
    index: TrigramIndex, prefix: str, limit: int = 10, *, where: Sequence[ColumnElement[bool]] = ()
) -> Statement:
    """Select the rows that start with the prefix: key and score, the shortest text first.

    The score is the part of the text that is typed already.
    """
    typed = cleaned(prefix)
    length = func.greatest(1, func.length(index.indexed))
    score = func.least(1.0, cast(len(typed), Float) / length, type_=Float).label("score")
    found = select(*index.key, score).where(index.starts_with(typed), *index.conditions, *where)
    if not words(typed):
        found = found.where(false())
    return found.order_by(score.desc(), *index.key).limit(rows(limit))
