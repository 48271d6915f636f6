"""The last rows of each of several groups."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, select, true

from pgmodern.indexes.source import Source, as_column
from pgmodern.queries.statement import Statement, rows


def last_of_each(
    groups: Statement,
    members: Statement,
    same: tuple[Source, Source],
    newest_first: Sequence[Source],
    n: int,
) -> Statement:
    """Select each group beside its last `n` members, newest first; NULLs where it has none.

    The groups keep their order. `same` is a column of the groups and the one of the members that
    says to which they belong; `members` selects what `newest_first` orders by, the last of it
    unique. One LATERAL join (manual, 7.2.1.5): with an index on the member's group and then the
    order, `n` of its entries are read for each group. A window function would number them all.
    Raises ValueError when a column of `same` or `newest_first` is not selected, as a group's key
    and an order must be.
    """
    given = groups.subquery("given")
    numbered = select(given, func.row_number().over().label("pgmodern_place"))
    group = numbered.cte("groups").prefix_with("MATERIALIZED")
    key, member_of = map(as_column, same)
    order = [as_column(column) for column in newest_first]
    last = (
        members.where(member_of == _of(group, key))
        .order_by(*(column.desc() for column in order))
        .limit(rows(n))
        .lateral("last")
    )
    return (
        select(*(group.c[column.key] for column in given.c), *last.c)
        .select_from(group.outerjoin(last, true()))
        .order_by(group.c.pgmodern_place, *(_of(last, column).desc() for column in order))
    )


def _of(found: FromClause, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column as the subquery has it, whatever an attribute is called there."""
    same = found.corresponding_column(column)  # type: ignore[arg-type]
    if same is None:
        raise ValueError(f"{column} is not selected")
    return same
