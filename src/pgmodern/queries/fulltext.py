"""Full-text search, ranked."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from pgmodern.indexes import FullTextIndex
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.text import Typed, web_search


def full_text(
    index: FullTextIndex, text: Typed, limit: int = 10, *, where: Sequence[ColumnElement[bool]] = ()
) -> Statement:
    """Select the rows that match web-search syntax: key and score, the best first."""
    query = index.query(web_search(text) if isinstance(text, str) else text)
    score = index.rank(query).label("score")
    return (
        select(*index.key, score)
        .where(index.matches(query), *index.conditions, *where)
        .order_by(score.desc(), *index.key)
        .limit(rows(limit))
    )
