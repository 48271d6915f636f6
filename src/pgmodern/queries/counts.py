"""How many rows there are: exactly where they are few, else as the planner estimates."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Row,
    Subquery,
    Text,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import OID

from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.statistics import CLASS
from pgmodern.quoting import quoted


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows, and as of when; None where nobody knows.

    An exact count is of its own moment. An estimate is made of statistics as old as `as_of`, the
    first ANALYZE among those of the tables, and of the sizes that the tables have now.
    """

    count: int
    is_estimate: bool
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan expects: how many rows, from which tables, by their quoted names."""

    rows: int
    tables: tuple[str, ...]


def estimated(plan: Any) -> Estimate:
    """Return what a plan, of `Explain(counted, verbose=True)`, expects.

    The planner does what there is to do: it scales by the table's size of now, adds up the
    partitions that are asked for, and guesses where there are no statistics.
    """
    return Estimate(plan[0]["Plan"]["Plan Rows"], tuple(dict.fromkeys(_tables(plan))))


def _tables(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "Relation Name" in node:
            yield quoted(node["Relation Name"], node.get("Schema"))
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _tables(child)


def settled(counted: Statement, estimate: Estimate, exact_below: int) -> Statement:
    """Select how old the statistics are, the time, and how many rows there are if they are few.

    They are counted, up to `exact_below`, when fewer are expected or a table was never analyzed;
    else the third column is NULL and nothing is counted.
    """
    seen = _statistics(estimate.tables)
    some: Statement = select(literal_column("1")).select_from(counted.subquery("counted"))
    few = select(func.count()).select_from(some.limit(rows(exact_below)).subquery("few"))
    expected = literal(estimate.rows, BigInteger) < exact_below
    counting = case((or_(expected, seen.c.missing), few.scalar_subquery()))
    return select(seen.c.as_of, func.statement_timestamp(), counting)


def _statistics(tables: tuple[str, ...]) -> Subquery:
    """Select the time of the oldest statistics, NULL if any is unknown, and whether one has none.

    The times are counters, which a crash resets; that there are statistics is in the catalogue.
    """
    oid, names = CLASS.c.oid, func.unnest(literal(list(tables), ARRAY(Text)))
    analyzed = func.greatest(
        func.pg_stat_get_last_analyze_time(oid),
        func.pg_stat_get_last_autoanalyze_time(oid),
        type_=DateTime(timezone=True),
    )
    oldest = case((func.bool_and(analyzed.is_not(None)), func.min(analyzed)))
    missing = func.coalesce(func.bool_or(CLASS.c.reltuples < 0), False, type_=Boolean)
    found = select(oldest.label("as_of"), missing.label("missing"))
    return found.where(oid.in_(select(func.to_regclass(names, type_=OID)))).subquery("seen")


def count_of(found: Row[*tuple[Any, ...]], estimate: Estimate, exact_below: int) -> Count:
    """Return what `settled` found: exact when fewer than `exact_below` were counted."""
    as_of, now, few = found
    if few is not None and few < exact_below:
        return Count(few, False, now)
    return Count(max(estimate.rows, few or 0), True, as_of)
