"""Backfills: one statement run over a whole table, in batches by key, resumable at any instant."""

import time
from dataclasses import dataclass

from psycopg import sql
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, text

from pgmodern.errors import MigrationError
from pgmodern.indexes.catalogue import quoted
from pgmodern.locks import LockPolicy, bounded, driver, pauses, transaction
from pgmodern.progress import progress

FIRST_SIZE, SMALLEST, LARGEST = 500, 50, 20_000
TARGET_SECONDS = 0.25
STATE = "pgmodern_backfill"


@dataclass(frozen=True, slots=True)
class Backfill:
    """What to do to which rows.

    `statement` holds `{range}` where its condition on the key belongs. `key` is a unique, indexed
    column that is never NULL, `key_type` its type. `name` tells one's state from
    another's. `schema` is the table's, where the search path does not find it.
    """

    name: str
    table: str
    key: str
    key_type: str
    statement: str
    schema: str | None = None

    @property
    def relation(self) -> str:
        """The quoted, possibly qualified name of the table."""
        return quoted(self.table, self.schema)

    def after(self, last: str) -> str:
        """The condition of being beyond an expression for a key."""
        return f"{quoted(self.key)} > {last}"

    def next_batch(self, after: str, size: int) -> str:
        """The query for the last key of the next batch and its number of rows; or no row."""
        key, table = quoted(self.key), self.relation
        return (
            f"SELECT batch.key, batch.number FROM (SELECT {key} AS key, "
            f"row_number() OVER (ORDER BY {key}) AS number FROM {table} WHERE {after} "
            f"ORDER BY {key} LIMIT {size}) AS batch ORDER BY batch.number DESC LIMIT 1"
        )

    def batch(self, after: str, upto: str) -> str:
        """The statement for the rows that meet `after`, up to a key that is included."""
        return self.statement.replace("{range}", f"{after} AND {quoted(self.key)} <= {upto}")

    def literal(self, key: str) -> str:
        """A key, as text, as an SQL literal of its type."""
        return f"CAST({sql.Literal(key).as_string()} AS {self.key_type})"


def next_size(size: int, seconds: float, target: float = TARGET_SECONDS) -> int:
    """Return the size that would have taken the target time, at most double or half of this one."""
    wanted = size * target / max(seconds, 1e-6)
    return int(max(SMALLEST, min(max(wanted, size / 2), size * 2, LARGEST)))


def run(connection: Connection, backfill: Backfill, policy: LockPolicy | None = None) -> int:
    """Run what is left of the backfill and return the number of rows that this run visited.

    Each batch is a transaction that also records how far it came, so a killed run goes on where
    it stopped and visits each row once. Rows that come in behind it (keys need not ascend) are
    not visited: a trigger or the application must write them as they should be. Locks only the
    rows of one batch at a time; where a row stays locked for `policy.timeout`, the batch lets go
    of its own, and is tried again, smaller.
    The connection must be in autocommit mode. Raises MigrationError when nothing could be visited
    for `policy.deadline`.
    """
    policy = policy or LockPolicy()
    connection.execute(text(_CREATE_STATE))
    last = connection.scalar(text(_READ_STATE), {"name": backfill.name})
    total = connection.scalar(text(_ESTIMATE), {"table": backfill.relation})
    size, done = FIRST_SIZE, 0
    with progress(f"backfilling {backfill.name}", total or None) as advance:
        while True:
            last, count, size = _run_patiently(connection, backfill, last, size, policy)
            if not count:
                break
            done += count
            advance(count)
    forget(connection, backfill.name)
    return done


def _run_patiently(
    connection: Connection, backfill: Backfill, last: str | None, size: int, policy: LockPolicy
) -> tuple[str | None, int, int]:
    waiting_since = time.monotonic()
    for pause in pauses(policy):
        started = time.monotonic()
        try:
            with transaction(connection):
                driver(connection).execute(bounded(policy.timeout).encode())
                last, count = _run_batch(connection, backfill, last, size)
            return last, count, next_size(size, time.monotonic() - started)
        except (LockNotAvailable, DeadlockDetected) as error:
            if time.monotonic() + pause - waiting_since > policy.deadline:
                raise MigrationError(
                    f"Rows of {backfill.table} stayed locked for {policy.deadline:.0f} s.",
                    "Find the transaction that holds them in pg_stat_activity, then run again: "
                    "the backfill goes on where it stopped.",
                ) from error
            size = max(1, size // 2)
            time.sleep(pause)
    raise AssertionError("pauses never end")


def _run_batch(
    connection: Connection, backfill: Backfill, last: str | None, size: int
) -> tuple[str | None, int]:
    after = "true" if last is None else backfill.after(backfill.literal(last))
    rows = driver(connection)
    row = rows.execute(backfill.next_batch(after, size).encode()).fetchone()
    if row is None:
        return last, 0
    upto, count = str(row[0]), int(str(row[1]))
    rows.execute(backfill.batch(after, backfill.literal(upto)).encode())
    connection.execute(text(_SAVE_STATE), {"name": backfill.name, "last": upto})
    return upto, count


def forget(connection: Connection, name: str) -> None:
    """Drop the state of a backfill, if there is any, so that it would start from the beginning."""
    with transaction(connection):
        if connection.scalar(text(f"SELECT to_regclass('{STATE}') IS NULL")):
            return
        connection.execute(text(f"DELETE FROM {STATE} WHERE name = :name"), {"name": name})
        if not connection.scalar(text(f"SELECT count(*) FROM {STATE}")):
            connection.execute(text(f"DROP TABLE {STATE}"))


def offline(backfill: Backfill) -> str:
    """Return a block that does the same from psql, outside a transaction.

    It commits after every batch. Stopped, it is run again from the start.
    """
    first, later = "true", backfill.after("pgmodern_last")
    return f"""DO $backfill$
DECLARE
    pgmodern_last {backfill.key_type};
    pgmodern_upto {backfill.key_type};
    pgmodern_count bigint;
BEGIN
    {backfill.next_batch(first, FIRST_SIZE)} INTO pgmodern_upto, pgmodern_count;
    IF FOUND THEN
        {backfill.batch(first, "pgmodern_upto")};
    END IF;
    WHILE pgmodern_upto IS NOT NULL LOOP
        COMMIT;
        pgmodern_last := pgmodern_upto;
        {backfill.next_batch(later, FIRST_SIZE)} INTO pgmodern_upto, pgmodern_count;
        EXIT WHEN NOT FOUND;
        {backfill.batch(later, "pgmodern_upto")};
    END LOOP;
END
$backfill$"""


_CREATE_STATE = f"""
    CREATE TABLE IF NOT EXISTS {STATE} (
        name text PRIMARY KEY,
        last_key text NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now()
    )
"""
_READ_STATE = f"SELECT last_key FROM {STATE} WHERE name = :name"
_SAVE_STATE = f"""
    INSERT INTO {STATE} (name, last_key) VALUES (:name, :last)
    ON CONFLICT (name) DO UPDATE SET last_key = excluded.last_key, updated_at = now()
"""
_ESTIMATE = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)"
