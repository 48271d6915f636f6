"""One search for each of many values, in one round trip."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    Integer,
    column,
    func,
    literal,
    literal_column,
    select,
    true,
    values,
)
from sqlalchemy.types import TypeEngine

from pgmodern.indexes.declared import constant
from pgmodern.queries.statement import Statement

_NOWHERE = -1


def batch(
    search: Callable[..., Statement], sought: Sequence[Sequence[Any]], *kinds: TypeEngine[Any]
) -> Statement:
    """Select what a search finds for each of several rows of values, beside the row's place from 0.

    `search` makes the statement of values that it is given as expressions, one of each of the
    `kinds`: `batch(lambda vector: nearest(index, vector), [[v] for v in vectors], index.operand)`.
    The places ascend, and within each the rows keep the search's own order. Where nothing is found
    there is no row.
    """
    names = [f"value_{number}" for number in range(len(kinds))]
    columns = column("place", Integer), *map(column, names, kinds)
    # VALUES has one row at least.
    numbered = list(enumerate(sought)) or [(_NOWHERE, [None] * len(kinds))]
    rows = [(literal(place, Integer), *map(literal, each, kinds)) for place, each in numbered]
    given = values(*columns, name="pgmodern_batch").data(rows)
    # By name alone: columns would bring their table into every subquery that uses one.
    named = map(literal_column, (f"pgmodern_batch.{name}" for name in names), kinds)
    found = search(*named).subquery("found")
    ranked = select(found, func.row_number().over().label("pgmodern_rank")).lateral("ranked")
    shown = (ranked.c[each.key] for each in found.c)
    return (
        select(given.c.place, *shown)
        .select_from(given.join(ranked, true()))
        .where(given.c.place != constant(_NOWHERE))
        .order_by(given.c.place, ranked.c.pgmodern_rank)
    )
