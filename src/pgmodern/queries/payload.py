"""What is shown of the rows that a search found."""

from sqlalchemy import and_, func, select

from pgmodern.indexes import DeclaredIndex
from pgmodern.queries.statement import Statement


def with_payload(payload: Statement, search: Statement, index: DeclaredIndex) -> Statement:
    """Join a search's keys to the columns to show, after the search has chosen its few rows.

    `payload` selects from the index's table (and whatever it joins); its columns come first, the
    score last; the rows keep the search's own order.
    """
    hits = search.subquery("search")
    numbered = select(hits, func.row_number().over().label("pgmodern_place"))
    found = numbered.cte("hits").prefix_with("MATERIALIZED")
    same = and_(*(column == found.c[column.key] for column in index.key))
    shown = payload.join(found, same).add_columns(found.c.score).order_by(found.c.pgmodern_place)
    return shown.add_cte(found, nest_here=True)
