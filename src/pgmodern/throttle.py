"""What a long piece of work makes way for."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from pgmodern.errors import MigrationError

# The WAL is that of all sessions: an application that writes more than a backfill may must not
# hold it up for good.
_LONGEST = 5.0


@dataclass(frozen=True, slots=True)
class Throttle:
    """What a backfill makes way for; None never.

    `target` is how many seconds a batch should take, which is what its neighbours may have to wait
    for, `rest` the part of the time in which nothing is done, `wal` the bytes of WAL a second that
    its batches may make, `lag` the seconds that a replica may be behind, `batch` the seconds after
    which a batch is broken off and split. While a VACUUM works on the table it pauses, too.
    """

    target: float = 0.25
    rest: float = 0.2
    wal: float | None = 128e6
    lag: float | None = 10.0
    batch: float = 10.0
    vacuum: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.rest < 1 and self.target > 0 and self.batch > 0):
            raise MigrationError(
                f"A backfill cannot go by {self}.",
                "rest is a part of the time, less than 1; target and batch are seconds, over 0.",
            )


@dataclass(frozen=True, slots=True)
class Load:
    """What the server says of itself: its place in the WAL, lag in seconds, VACUUM of the table."""

    wal: int
    lag: float
    vacuum: bool


def rest(throttle: Throttle, seconds: float, wal: int) -> float:
    """Return how long to rest after a batch that took so long and made so many bytes of WAL."""
    resting = seconds * throttle.rest / (1 - throttle.rest)
    writing = wal / throttle.wal - seconds if throttle.wal else 0.0
    return min(max(resting, writing), _LONGEST)


def hindrance(throttle: Throttle, load: Load) -> str | None:
    """Say what a backfill must make way for, if anything."""
    if throttle.lag is not None and load.lag > throttle.lag:
        return f"a replica is {load.lag:.0f} s behind"
    return "VACUUM works on the table" if throttle.vacuum and load.vacuum else None


def load_of(connection: Connection, table: str) -> Load:
    """Return what the server says of itself and of the table, whose name is quoted."""
    row = connection.execute(text(_LOAD), {"table": table}).one()
    return Load(int(row.wal), float(row.lag), bool(row.vacuum))


# Of replicas a role that may not read statistics sees nothing: then there is no lag to it.
_LOAD = """
    SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS wal,
           (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)
            FROM pg_catalog.pg_stat_replication) AS lag,
           EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum
                   WHERE relid = to_regclass(:table)) AS vacuum
"""
