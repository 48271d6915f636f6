"""What is known of a table before it is said whether to partition it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """What `op.partition_table_online` would refuse, and what to do about it."""

    cause: str
    cure: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a type that divides into ranges, as the planner's statistics know it.

    `middle` and `high` are the value that half of the rows lie above, and the highest: seconds
    since 1970 of a time, else the number; None when the planner knows none. `correlation` is 1
    when later rows have higher values. `reads` are those that compare the column with a value,
    `removals` the DELETEs that do.
    """

    name: str
    is_time: bool
    middle: float | None
    high: float | None
    correlation: float | None
    reads: int
    removals: int = 0
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its rows as estimated, its bytes with indexes and TOAST, what was done with it.

    `qualifier` is its schema where a revision has to name it. `rows` is None when the table was
    never counted. `inserted` and `deleted` rows are those of the statistics' age. `reads` are the
    statements, or without pg_stat_statements the scans, of which those of the columns are a part;
    `source` says which.
    """

    schema: str
    qualifier: str | None
    name: str
    is_partitioned: bool
    rows: int | None
    bytes: int
    inserted: int
    deleted: int
    reads: int
    source: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """What the tables live on: its memory in bytes, and how that is known.

    `now` is in seconds since 1970, `days` the age of its statistics.
    """

    memory: int
    source: str
    now: float
    days: float
