"""Whether to partition a table: decided from what is known of it, without looking at anything.

Manual, 5.12.1: partitioning will normally be worthwhile only when a table would otherwise be very
large, by a rule of thumb larger than the server's memory. 5.12.6: often the best column is the one
that queries compare most; the keys may forbid it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

from pgmodern.doctor.cure import line
from pgmodern.doctor.partitioning import growth, intervals
from pgmodern.doctor.partitioning.amounts import day, percent, size
from pgmodern.doctor.partitioning.facts import Column, Refusal, Server, Table
from pgmodern.doctor.partitioning.intervals import PER_YEAR, Growth, Interval
from pgmodern.operations import partitions
from pgmodern.operations.partition_table import PartitionTableOnline

Verdict = Literal["yes", "blocked", "not yet", "not known", "no"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

_SHARE = 0.5
_AHEAD = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """What is said of a table.

    `blocked`: it would pay, but `obstacles` have to go first. `not yet`: within a year it will be
    large enough. The column is the one that comes nearest, also where the verdict is no. What
    partitioning by it changes is among the `consequences`. `upgrade` and `downgrade` are lines of
    an online revision, and there only when the verdict is yes.
    """

    schema: str | None
    table: str
    verdict: Verdict
    reason: str
    rows: int | None = None
    bytes: int | None = None
    column: str | None = None
    interval: str | None = None
    partitions_a_year: float | None = None
    obstacles: tuple[Refusal, ...] = ()
    consequences: tuple[str, ...] = ()
    upgrade: str | None = None
    downgrade: str | None = None


def advise(table: Table, server: Server) -> Advice:
    """Say whether to partition a table, by what, and what stands in the way."""
    says = partial(Advice, table.schema, table.name, rows=table.rows, bytes=table.bytes)
    if table.is_partitioned:
        return says("no", "it is partitioned already")
    column = preferred(table, server)
    nearest = partial(
        says,
        column=column.name if column else None,
        obstacles=column.refusals if column else (),
    )
    if table.bytes < server.memory:
        return nearest(*_of_small(table, column, server))
    if column is None:
        return says("no", "it has no column of times or whole numbers to divide by")
    if table.rows is None or column.middle is None:
        return nearest("not known", _unseen(column))
    if why := _against(column, table, server):
        return nearest(*why)
    grows = growth.of(column, table, server)
    assert grows is not None  # or there would have been something against it
    return _for(nearest("yes", ""), table, column, grows, server)


def preferred(table: Table, server: Server) -> Column | None:
    """Return the column that suits best: nothing against it, no obstacle, compared most."""

    def rank(column: Column) -> tuple[bool, bool, bool, int, bool, float]:
        return (
            column.middle is not None,
            _against(column, table, server) is None,
            not column.refusals,
            column.reads,
            column.is_time,
            column.correlation or 0.0,
        )

    return max(table.columns, key=rank, default=None)


def _of_small(table: Table, column: Column | None, server: Server) -> tuple[Verdict, str]:
    fits = (
        f"with its indexes it has {size(table.bytes)}, and fits into the memory of "
        f"{size(server.memory)} ({server.source})"
    )
    if column and growth.unsuited(column, table, server) is None:
        grows = growth.of(column, table, server)
        assert grows is not None
        a_year = grows.bytes_a_day * PER_YEAR * growth.remaining(table)
        if a_year and table.bytes + a_year >= server.memory:
            months = 12 * (server.memory - table.bytes) / a_year
            return "not yet", f"{fits} for another {months:.0f} months as it grows now; ask again"
        return "no", f"{fits}; it grows by {size(a_year)} a year"
    return "no", fits


def _unseen(column: Column) -> str:
    return (
        f"the planner has no statistics of {column.name} that this role may see: ANALYZE the "
        "table, or ask as its owner"
    )


def _against(column: Column, table: Table, server: Server) -> tuple[Verdict, str] | None:
    """Say what is against dividing a large table by this column, or None."""
    if why := growth.unsuited(column, table, server):
        return "no", why
    grows = growth.of(column, table, server)
    assert grows is not None
    interval = _interval(column, grows, server)
    if intervals.is_slow(grows, server.memory) or interval.a_year < 1:
        a_year = size(grows.bytes_a_day * PER_YEAR)
        return "no", (
            f"it grows by {a_year} a year only, and the rows that are there would stay together "
            "in the first partition"
        )
    if not table.reads:
        return "not known", f"nothing has read it since the statistics began ({table.source})"
    if column.reads < _SHARE * table.reads and not column.removals:
        return "no", (
            f"only {percent(column.reads, table.reads)} of its reads ({table.source}) compare "
            f"{column.name} with a value: all others would look into every partition"
        )
    return None


def _interval(column: Column, grows: Growth, server: Server) -> Interval:
    choose = intervals.of_time if column.is_time else intervals.of_number
    return choose(grows, server.memory)


def _for(advice: Advice, table: Table, column: Column, grows: Growth, server: Server) -> Advice:
    interval = _interval(column, grows, server)
    reads = f"{percent(column.reads, table.reads)} of its reads ({table.source})"
    removes = "; rows are deleted by it, which dropping a partition does at once"
    advised = replace(
        advice,
        verdict="blocked" if column.refusals else "yes",
        reason=f"with its indexes it has {size(table.bytes)}, more than the memory of "
        f"{size(server.memory)} ({server.source}), and {reads} compare {column.name} with a value"
        + (removes if column.removals else ""),
        interval=interval.text,
        partitions_a_year=interval.a_year,
        consequences=tuple(_consequences(table, column, interval, server)),
    )
    return advised if column.refusals else _with_revision(advised, table)


def _consequences(table: Table, column: Column, interval: Interval, server: Server) -> list[str]:
    others = percent(max(table.reads - column.reads, 0), table.reads)
    said = [
        f"The rows that are there stay in the first partition; each later one holds about "
        f"{interval.rows:,.0f} rows and {size(interval.bytes)}, {interval.a_year:.0f} of them "
        "a year: little enough to stay in memory, few enough to plan with.",
        f"{others} of the reads do not compare {column.name}: they look into every partition.",
        "op.add_partitions has to run regularly: a row beyond the last partition is an error.",
        "CREATE INDEX CONCURRENTLY does not work on the whole any more.",
    ]
    if column.is_time and column.high is not None and column.high > server.now:
        ahead = day(column.high)
        said.append(f"Rows are dated ahead, to {ahead}: let `starting` be later than that.")
    return said


def _with_revision(advice: Advice, table: Table) -> Advice:
    assert advice.column is not None
    assert advice.interval is not None
    operation = PartitionTableOnline(
        partitions.Table(table.name, table.qualifier, advice.column, advice.interval, _AHEAD)
    )
    return replace(advice, upgrade=line(operation), downgrade=line(operation.reverse()))
