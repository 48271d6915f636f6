"""How far the counters of a server may be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

# The counters of an index begin with the database's, and with the server's when these were lost in
# a crash: then all of the server's are of that moment. Manual, 27.2: The Cumulative Statistics.
_STATISTICS = text("""
    SELECT now() - greatest(database.stats_reset, least(
               (SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter),
               (SELECT stats_reset FROM pg_catalog.pg_stat_archiver),
               (SELECT stats_reset FROM pg_catalog.pg_stat_wal))) AS age,
           pg_is_in_recovery() AS is_replica,
           current_setting('track_counts')::boolean AS counts,
           (SELECT count(*) FROM pg_catalog.pg_stat_replication) AS replicas
    FROM pg_catalog.pg_stat_database AS database WHERE datname = current_database()
""")


@dataclass(frozen=True, slots=True)
class Statistics:
    """How old the counters are, and whether they count what the application does."""

    age: timedelta
    is_replica: bool
    counts: bool
    replicas: int

    @classmethod
    def of(cls, connection: Connection) -> Statistics:
        """Return those of the database that is looked at."""
        return cls(**connection.execute(_STATISTICS).mappings().one())


def words(age: timedelta) -> str:
    """Write an age in days or, when it is less than one, in hours and minutes."""
    if age.days:
        return f"{age.days} day{'s' if age.days > 1 else ''}"
    return f"{age.seconds // 3600} h {age.seconds % 3600 // 60} min"
