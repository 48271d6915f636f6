"""Backfills: one statement run over a whole table, in batches by key, resumable at any instant."""

import hashlib
import logging
import time
from dataclasses import dataclass

from psycopg import sql
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled
from sqlalchemy import Connection, TextClause, text

from pgmodern.errors import MigrationError
from pgmodern.indexes.catalogue import quoted
from pgmodern.locks import (
    LockPolicy,
    bounded,
    bounds,
    driver,
    milliseconds,
    patiently,
    transaction,
)
from pgmodern.progress import progress
from pgmodern.throttle import Load, Throttle, hindrance, load_of, rest

log = logging.getLogger("pgmodern")

FIRST_SIZE, SMALLEST, LARGEST = 500, 10, 20_000
STATE = "pgmodern_backfill"
_LOOK_EVERY = 0.5


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

    def __post_init__(self) -> None:
        if "{range}" not in self.statement:
            raise MigrationError(
                f"The statement of backfill {self.name!r} has no {{range}}.",
                "Put it where its condition on the key belongs: UPDATE ... WHERE {range}",
            )

    @property
    def digest(self) -> str:
        """What tells a backfill from an earlier version of itself."""
        whole = "\0".join((self.relation, self.key, self.key_type, self.statement))
        return hashlib.sha256(whole.encode()).hexdigest()

    @property
    def relation(self) -> str:
        """The quoted name of the table."""
        return quoted(self.table, self.schema)

    def after(self, last: str) -> str:
        """The condition of being beyond an expression for a key."""
        return f"{quoted(self.key)} > {last}"

    def next_batch(self, after: str, size: int) -> str:
        """The query for the last key of the next batch and its number of rows; or no row."""
        key, table = quoted(self.key), self.relation
        return (
            f"SELECT batch.key::text, batch.number FROM (SELECT {key} AS key, "
            f"row_number() OVER (ORDER BY {key}) AS number FROM {table} WHERE {after} "
            f"ORDER BY {key} LIMIT {size}) AS batch ORDER BY batch.number DESC LIMIT 1"
        )

    def batch(self, after: str, upto: str) -> str:
        """The statement for the rows that meet `after`, up to a key that is included."""
        return self.statement.replace("{range}", f"{after} AND {quoted(self.key)} <= {upto}")

    def literal(self, key: str) -> str:
        """A key, as text, as an SQL literal of its type."""
        return f"CAST({sql.Literal(key).as_string()} AS {self.key_type})"


def next_size(size: int, seconds: float, target: float) -> int:
    """Return the size that would have taken the target time, at most double or half of this one."""
    wanted = size * target / max(seconds, 1e-6)
    return int(max(SMALLEST, min(max(wanted, size / 2), size * 2, LARGEST)))


def run(
    connection: Connection,
    backfill: Backfill,
    policy: LockPolicy | None = None,
    throttle: Throttle | None = None,
    *,
    keep: bool = False,
) -> int:
    """Run what is left of the backfill and return the number of rows that this run visited.

    Each batch is a transaction that also records how far it came, so a killed run goes on where
    it stopped and visits each row once; so it does after a crash of the server, which loses a batch
    and its record together, or neither. Rows that come in behind it (keys need not ascend) are
    not visited: a trigger or the application must write them as they should be. Locks only the
    rows of one batch at a time; where a row stays locked for `policy.timeout`, the batch lets go
    of its own, and is tried again, smaller; so is one that takes too long. With `keep` it stays
    on record that it is finished, until `forget` or `forget_finished`: killed before its revision
    is stamped, it must not begin again.
    The connection must be in autocommit mode. Raises MigrationError when nothing could be visited
    for `policy.deadline`.
    """
    policy, throttle = policy or bounds(connection).policy, throttle or Throttle()
    connection.execute(text(_CREATE_STATE))
    # A table that was dropped and made again is another one.
    oid = connection.scalar(text("SELECT to_regclass(:table)::oid"), {"table": backfill.relation})
    digest = f"{backfill.digest} {oid}"
    connection.execute(text(_CLAIM), {"name": backfill.name, "digest": digest})
    total = connection.scalar(text(_ESTIMATE), {"table": backfill.relation})
    size, done = FIRST_SIZE, 0
    with progress(f"backfilling {backfill.name}", total or None) as advance:
        while True:
            before, started = load_of(connection, backfill.relation), time.monotonic()
            count, size = _visit(connection, backfill, size, policy, throttle)
            if not count:
                break
            done += count
            advance(count)
            load = load_of(connection, backfill.relation)
            time.sleep(rest(throttle, time.monotonic() - started, load.wal - before.wal))
            _make_way(connection, backfill, throttle, load, policy.deadline)
    if not keep:
        forget(connection, backfill.name)
    return done


def _make_way(
    connection: Connection, backfill: Backfill, throttle: Throttle, load: Load, longest: float
) -> None:
    """Pause while something hinders, but not for ever: a VACUUM may take days."""
    started, said = time.monotonic(), None
    while (found := hindrance(throttle, load)) and time.monotonic() - started < longest:
        if found != said:
            log.info("backfilling %s pauses: %s", backfill.name, found)
            said = found
        time.sleep(_LOOK_EVERY)
        load = load_of(connection, backfill.relation)


def _visit(
    connection: Connection, backfill: Backfill, size: int, policy: LockPolicy, throttle: Throttle
) -> tuple[int, int]:
    """Visit the next batch; return its size, none at the end, and the size of the next one."""
    too_long = False

    def attempt(timeout: float) -> tuple[int, int]:
        nonlocal size, too_long
        started = time.monotonic()
        try:
            with transaction(connection):
                _bound(connection, timeout, throttle)
                count = _run_batch(connection, backfill, size)
            return count, next_size(size, time.monotonic() - started, throttle.target)
        except (LockNotAvailable, DeadlockDetected, QueryCanceled) as error:
            too_long = time.monotonic() - started >= throttle.batch
            if isinstance(error, QueryCanceled) and too_long and size == 1:
                raise MigrationError(
                    f"One row of {backfill.table} takes more than {throttle.batch:.0f} s.",
                    "Give the backfill a cheaper statement.",
                ) from error
            size = max(1, size // 2)
            raise

    while True:
        try:
            return patiently(connection, f"a batch of {backfill.name}", attempt, policy)
        except QueryCanceled:
            if not too_long:  # somebody cancelled it
                raise
            log.info("a batch of %s took too long, trying %d rows", backfill.name, size)


def _bound(connection: Connection, timeout: float, throttle: Throttle) -> None:
    session = driver(connection)
    session.execute(bounded(timeout).encode())
    session.execute(f"SET LOCAL statement_timeout = '{milliseconds(throttle.batch)}'".encode())
    # No commit of ours has the application's wait for its WAL to be written; that of the stamp,
    # which comes after, makes all of it last.
    session.execute(b"SET LOCAL synchronous_commit = off")


def _run_batch(connection: Connection, backfill: Backfill, size: int) -> int:
    # The row of the state is locked first: a killed client's last COMMIT may still be under way.
    name = {"name": backfill.name}
    last, finished = connection.execute(text(_LOCK_STATE), name).one_or_none() or (None, True)
    if finished:
        return 0
    after = "true" if last is None else backfill.after(backfill.literal(last))
    rows = driver(connection)
    row = rows.execute(backfill.next_batch(after, size).encode()).fetchone()
    if row is None:
        connection.execute(text(_FINISH), name)
        return 0
    upto, count = str(row[0]), int(str(row[1]))
    rows.execute(backfill.batch(after, backfill.literal(upto)).encode())
    connection.execute(text(_SAVE_STATE), name | {"last": upto})
    return count


def forget(connection: Connection, name: str) -> None:
    """Drop the state of a backfill, if there is any, so that it would start from the beginning."""
    with transaction(connection):
        _forget(connection, text(f"DELETE FROM {STATE} WHERE name = :name"), {"name": name})


def forget_finished(connection: Connection) -> None:
    """Drop the state of what is finished: part of the transaction that stamps its revision."""
    _forget(connection, text(f"DELETE FROM {STATE} WHERE finished"), {})


def _forget(connection: Connection, delete: TextClause, values: dict[str, str]) -> None:
    if connection.scalar(text(f"SELECT to_regclass('{STATE}') IS NULL")):
        return
    connection.execute(delete, values)
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
        digest text NOT NULL,
        last_key text,
        finished boolean NOT NULL DEFAULT false,
        updated_at timestamptz NOT NULL DEFAULT now()
    )
"""
# One that has been rewritten since begins again.
_CLAIM = f"""
    INSERT INTO {STATE} AS state (name, digest) VALUES (:name, :digest)
    ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, last_key = NULL, finished = false
    WHERE state.digest <> excluded.digest
"""
_LOCK_STATE = f"SELECT last_key, finished FROM {STATE} WHERE name = :name FOR UPDATE"
_SAVE_STATE = f"UPDATE {STATE} SET last_key = :last, updated_at = now() WHERE name = :name"
_FINISH = f"UPDATE {STATE} SET finished = true, updated_at = now() WHERE name = :name"
_ESTIMATE = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)"
