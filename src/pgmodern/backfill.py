"""Backfills: one statement run over a whole table, in batches by key, resumable at any instant."""

import hashlib
import logging
import time
from dataclasses import dataclass

from psycopg import sql
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled
from sqlalchemy import Connection, text

from pgmodern.errors import MigrationError
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
from pgmodern.quoting import quoted
from pgmodern.throttle import Load, Throttle, hindrance, load_of, rest
from pgmodern.unfinished import Which, advance_to, claim, done_with, finish, locked

log = logging.getLogger("pgmodern")

FIRST_SIZE, SMALLEST, LARGEST = 500, 10, 20_000
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

    @property
    def last_key(self) -> str:
        """The query for the highest key, whatever its type; or no row."""
        highest = f"SELECT {quoted(self.key)} AS key FROM {self.relation}"
        return (
            f"SELECT row.key::text FROM ({highest} ORDER BY {quoted(self.key)} DESC LIMIT 1) AS row"
        )

    def after(self, last: str) -> str:
        """The condition of being beyond an expression for a key."""
        return f"{quoted(self.key)} > {last}"

    def next_batch(self, after: str, end: str, size: int) -> str:
        """The query for the last key of the next batch and its number of rows; or no row.

        The end is looked at when the batch is there: no plan can take it for a reason to sort.
        """
        key, table = quoted(self.key), self.relation
        return (
            f"SELECT batch.key::text, batch.number FROM (SELECT {key} AS key, "
            f"row_number() OVER (ORDER BY {key}) AS number FROM {table} WHERE {after} "
            f"ORDER BY {key} LIMIT {size}) AS batch WHERE batch.key <= {end} "
            "ORDER BY batch.number DESC LIMIT 1"
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
) -> int:
    """Run what is left of the backfill and return the number of rows that this run visited.

    Each batch is a transaction that also records how far it came, so a killed run goes on where
    it stopped and visits each row once; so it does after a crash of the server, which loses a batch
    and its record together, or neither. It ends at the key that was the highest when it began:
    rows that come in beyond that, or behind it (keys need not ascend), are not visited, so a
    trigger or the application must write them as they should be. Locks only the
    rows of one batch at a time; where a row stays locked for `policy.timeout`, the batch lets go
    of its own, and is tried again, smaller; so is one that takes too long. In a revision
    (`unfinished.keeping`) it stays on record that it is finished.
    The connection must be in autocommit mode. Raises MigrationError when nothing could be visited
    for `policy.deadline`.
    """
    policy, throttle = policy or bounds(connection).policy, throttle or Throttle()
    which, left = _begin(connection, backfill, policy)
    size, done = FIRST_SIZE, 0
    with progress(f"backfilling {backfill.name}", left or None) as advance:
        while True:
            before, started = load_of(connection, backfill.relation), time.monotonic()
            count, size = _visit(connection, backfill, which, size, policy, throttle)
            if not count:
                break
            done += count
            advance(count)
            load = load_of(connection, backfill.relation)
            time.sleep(rest(throttle, time.monotonic() - started, load.wal - before.wal))
            _make_way(connection, backfill, throttle, load, policy.deadline)
    done_with(connection, which)
    return done


def _begin(connection: Connection, backfill: Backfill, policy: LockPolicy) -> tuple[Which, int]:
    """Put the backfill on record, unless it is; return which it is, and about how much is left."""
    table = {"table": backfill.relation}
    # A table that was dropped and made again is another one.
    oid = connection.scalar(text("SELECT to_regclass(:table)::oid"), table)
    total = connection.scalar(text(_ESTIMATE), table)
    end = _end(connection, backfill, policy)
    found = {"digest": f"{backfill.digest} {oid}", "end": end, "total": total}
    return claim(connection, backfill.name, found)


def _end(connection: Connection, backfill: Backfill, policy: LockPolicy) -> object:
    def attempt(timeout: float) -> object:
        with transaction(connection):
            driver(connection).execute(bounded(timeout).encode())
            row = driver(connection).execute(backfill.last_key.encode()).fetchone()
        return None if row is None else row[0]

    return patiently(connection, f"the end of {backfill.name}", attempt, policy)


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
    connection: Connection,
    backfill: Backfill,
    which: Which,
    size: int,
    policy: LockPolicy,
    throttle: Throttle,
) -> tuple[int, int]:
    """Visit the next batch; return its size, none at the end, and the size of the next one."""
    too_long = False

    def attempt(timeout: float) -> tuple[int, int]:
        nonlocal size, too_long
        started = time.monotonic()
        try:
            with transaction(connection):
                _bound(connection, timeout, throttle)
                count = _run_batch(connection, backfill, which, size)
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


def _run_batch(connection: Connection, backfill: Backfill, which: Which, size: int) -> int:
    # The row of the state is locked first: a killed client's last COMMIT may still be under way.
    state = locked(connection, which)
    if state is None or state.finished:
        return 0
    last, end = state.last_key, state.end_key
    after = "true" if last is None else backfill.after(backfill.literal(last))
    end = "NULL" if end is None else backfill.literal(end)  # of a table that was empty
    rows = driver(connection)
    row = rows.execute(backfill.next_batch(after, end, size).encode()).fetchone()
    if row is None:
        finish(connection, which)
        return 0
    upto, count = str(row[0]), int(str(row[1]))
    rows.execute(backfill.batch(after, backfill.literal(upto)).encode())
    advance_to(connection, which, upto, count)
    return count


def offline(backfill: Backfill) -> str:
    """Return a block that does the same from psql, outside a transaction.

    It commits after every batch. Stopped, it is run again from the start.
    """
    first, later = "true", backfill.after("pgmodern_last")
    return f"""DO $backfill$
DECLARE
    pgmodern_end {backfill.key_type};
    pgmodern_last {backfill.key_type};
    pgmodern_upto {backfill.key_type};
    pgmodern_count bigint;
BEGIN
    {backfill.last_key} INTO pgmodern_end;
    {backfill.next_batch(first, "pgmodern_end", FIRST_SIZE)} INTO pgmodern_upto, pgmodern_count;
    IF FOUND THEN
        {backfill.batch(first, "pgmodern_upto")};
    END IF;
    WHILE pgmodern_upto IS NOT NULL LOOP
        COMMIT;
        pgmodern_last := pgmodern_upto;
        {backfill.next_batch(later, "pgmodern_end", FIRST_SIZE)} INTO pgmodern_upto, pgmodern_count;
        EXIT WHEN NOT FOUND;
        {backfill.batch(later, "pgmodern_upto")};
    END LOOP;
END
$backfill$"""


_ESTIMATE = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)"
