"""Indexes that no query has used for as long as the statistics go back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from pgmodern.doctor.catalogue import StoredIndex, by_table, database_name, stored_indexes
from pgmodern.doctor.cure import drop
from pgmodern.doctor.diagnosis import DAYS, Diagnosis, Kind, not_known
from pgmodern.doctor.foreign_keys import ForeignKey, foreign_keys, serves
from pgmodern.doctor.redundant_indexes import redundant
from pgmodern.doctor.statistics import Statistics, words

KINDS = (Kind.UNUSED_INDEX,)

# A smaller table is read whole, whatever indexes it has.
_PAGES = 5
# Scans are counted for each part of a partitioned index.
_USES = text("""
    WITH RECURSIVE parts (whole, oid) AS (
        SELECT indexrelid, indexrelid FROM pg_catalog.pg_index
        UNION ALL
        SELECT whole, inhrelid FROM parts JOIN pg_catalog.pg_inherits ON inhparent = parts.oid
    )
    SELECT whole, coalesce(sum(pg_stat_get_numscans(parts.oid)), 0)::bigint AS scans,
           coalesce(max(relation.relpages), 0) AS pages,
           pg_size_pretty(sum(class.relpages::bigint * current_setting('block_size')::int)) AS size
    FROM parts
    JOIN pg_catalog.pg_class AS class ON class.oid = parts.oid
    JOIN pg_catalog.pg_index AS index ON indexrelid = parts.oid
    JOIN pg_catalog.pg_class AS relation ON relation.oid = indrelid
    GROUP BY whole
""")


@dataclass(frozen=True, slots=True)
class Use:
    """How often an index was scanned, the pages of its (largest) table, and its size in words."""

    scans: int
    pages: int
    size: str


def check(connection: Connection, days: int = DAYS) -> Iterator[Diagnosis]:
    """Find indexes that were not scanned once, where the statistics are that many days old."""
    rows = connection.execute(_USES).mappings()
    uses = {row["whole"]: Use(row["scans"], row["pages"], row["size"]) for row in rows}
    statistics = Statistics.of(connection)
    indexes = stored_indexes(connection)
    unused = [
        index
        for index in dispensable(indexes, foreign_keys(connection))
        if uses[index.oid].scans == 0 and uses[index.oid].pages > _PAGES
    ]
    if unused and (reason := untrusted(statistics, days)):
        counted = f"{len(unused)} unused by the counters" if len(unused) > 1 else unused[0].name
        yield not_known(Kind.UNUSED_INDEX, database_name(connection), f"{reason} ({counted})")
        return
    for index in unused:
        detail = _detail(statistics, uses[index.oid])
        yield Diagnosis(
            Kind.UNUSED_INDEX,
            "warning",
            index.schema,
            index.table_name,
            index.name,
            detail,
            drop(index),
        )


def dispensable(
    indexes: Sequence[StoredIndex], keys: Sequence[ForeignKey]
) -> Iterator[StoredIndex]:
    """Yield the indexes that are there for queries alone.

    Not one that keeps rows unique, serves a foreign key, or has expressions, of which the planner
    takes statistics without a scan; and not one of two that do the same: of those the planner uses
    either, and one has to go before it is known whether the other is used.
    """
    excepted = {index.oid for pair in redundant(indexes) for index in pair}
    of_table = by_table(indexes)
    for key in keys:
        excepted |= {index.oid for index in of_table[key.table_oid] if serves(index, key)}
    for index in indexes:
        is_for_more = index.is_unique or index.is_pinned or index.expressions
        if index.is_valid and not is_for_more and index.oid not in excepted:
            yield index


def untrusted(statistics: Statistics, days: int) -> str | None:
    """Say why counters of nought do not prove that an index is unused, or None."""
    if not statistics.counts:
        return "track_counts is off"
    if statistics.is_replica:
        return "this server is a replica, whose counters say nothing of the primary's queries"
    if statistics.age < timedelta(days=days):
        return f"the statistics are {words(statistics.age)} old, not {words(timedelta(days=days))}"
    return None


def _detail(statistics: Statistics, use: Use) -> str:
    elsewhere = "; replicas count for themselves" if statistics.replicas else ""
    return (
        f"{use.size}, not scanned in the {words(statistics.age)} of the statistics{elsewhere}; "
        "is it younger than that?"
    )
