"""Backfills: one statement run over a whole table, in batches by key, resumable at any instant."""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from psycopg import sql
from psycopg.errors import (
    DeadlockDetected,
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
)
from sqlalchemy import Connection, text

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

FIRST_SIZE, SMALLEST, LARGEST = 500, 50, 20_000
TARGET_SECONDS = 0.25
STATE = "pgmodern_backfill"
_LOOK_EVERY = 0.5
_KEY = "pgmodern_keeping"

Which = dict[str, str | int]


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


@dataclass(slots=True)
class Keeping:
    """The revision that runs, and how many backfills of each name it has come to."""

    revision: str
    begun: Counter[str] = field(default_factory=Counter)


@contextmanager
def keeping(connection: Connection, revision: str) -> Iterator[None]:
    """Keep on record what a revision's backfills have finished while the body runs it.

    Killed before it is stamped, they must not begin again; `forget_revisions` ends it. A second
    backfill of one name is told from the first by being the second.
    """
    info = connection.info  # of a connection that is lost in between there is none
    info[_KEY] = Keeping(revision)
    try:
        yield
    finally:
        info.pop(_KEY, None)


def next_size(size: int, seconds: float, target: float = TARGET_SECONDS) -> int:
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
    it stopped and visits each row once. It ends at the key that was the highest when it began:
    rows that come in beyond that, or behind it (keys need not ascend), are not visited, so a
    trigger or the application must write them as they should be. Locks only the
    rows of one batch at a time; where a row stays locked for `policy.timeout`, the batch lets go
    of its own, and is tried again, smaller; so is one that takes too long. In a revision
    (`keeping`) it stays on record that it is finished.
    The connection must be in autocommit mode. Raises MigrationError when nothing could be visited
    for `policy.deadline`.
    """
    policy, throttle = policy or bounds(connection).policy, throttle or Throttle()
    which, left = _claim(connection, backfill)
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
    if not which["revision"]:
        _forget(connection, _WHICH, which)
    return done


def _claim(connection: Connection, backfill: Backfill) -> tuple[Which, int]:
    """Put the backfill on record, unless it is; return which it is, and about how much is left."""
    which = _which(connection, backfill.name)
    connection.execute(text(_CREATE_STATE))
    # A table that was dropped and made again is another one.
    oid = connection.scalar(text("SELECT to_regclass(:table)::oid"), {"table": backfill.relation})
    total = connection.scalar(text(_ESTIMATE), {"table": backfill.relation})
    (end,) = driver(connection).execute(backfill.last_key.encode()).fetchone() or (None,)
    new = {"digest": f"{backfill.digest} {oid}", "end": end, "total": total}
    connection.execute(text(_CLAIM), which | new)
    left = connection.scalar(text(_LEFT), which)
    return which, int(left or 0)


def _which(connection: Connection, name: str) -> Which:
    kept: Keeping | None = connection.info.get(_KEY)
    if kept is None:
        return {"revision": "", "name": name, "occurrence": 1}
    kept.begun[name] += 1
    return {"revision": kept.revision, "name": name, "occurrence": kept.begun[name]}


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
            return count, next_size(size, time.monotonic() - started)
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


def _run_batch(connection: Connection, backfill: Backfill, which: Which, size: int) -> int:
    # The row of the state is locked first: a killed client's last COMMIT may still be under way.
    state = connection.execute(text(_LOCK_STATE), which).one_or_none()
    if state is None or state.finished:
        return 0
    last, end = state.last_key, state.end_key
    after = "true" if last is None else backfill.after(backfill.literal(last))
    end = "NULL" if end is None else backfill.literal(end)  # of a table that was empty
    rows = driver(connection)
    row = rows.execute(backfill.next_batch(after, end, size).encode()).fetchone()
    if row is None:
        connection.execute(text(_FINISH), which)
        return 0
    upto, count = str(row[0]), int(str(row[1]))
    rows.execute(backfill.batch(after, backfill.literal(upto)).encode())
    connection.execute(text(_SAVE_STATE), which | {"last": upto, "count": count})
    return count


def forget(connection: Connection, name: str) -> None:
    """Forget a backfill, in whatever revision, so that it would start from the beginning.

    The connection must be in autocommit mode.
    """
    if _has_state(connection):
        _forget(connection, "name = :name", {"name": name})


def forget_revisions(connection: Connection, revisions: Collection[str]) -> None:
    """Forget the backfills of revisions: part of the transaction that stamps them.

    ROW EXCLUSIVE on the table of states; `drop_state` drops it, when the run ends.
    """
    if _has_state(connection):
        delete = text(f"DELETE FROM {STATE} WHERE revision = ANY(:revisions)")
        connection.execute(delete, {"revisions": list(revisions)})


def _has_state(connection: Connection) -> bool:
    return bool(connection.scalar(text(f"SELECT to_regclass('{STATE}') IS NOT NULL")))


def _forget(connection: Connection, condition: str, values: Which) -> None:
    """Forget backfills, in one transaction with the table if that can be had."""

    def delete() -> None:
        connection.execute(text(f"DELETE FROM {STATE} WHERE {condition}"), values)

    if not drop_state(connection, delete):
        delete()


def drop_state(connection: Connection, first: Callable[[], None] = lambda: None) -> bool:
    """Drop the table of states if it is empty; return whether its lock was had.

    ACCESS EXCLUSIVE on it, tried for once: whoever reads it meanwhile, as pg_dump does, leaves it
    to the next run. The connection must not be in a transaction.
    """

    def attempt(timeout: float) -> None:
        with transaction(connection):
            first()
            driver(connection).execute(bounded(timeout).encode())
            driver(connection).execute(_DROP_STATE.encode())

    once = replace(bounds(connection).policy, deadline=0)
    try:
        patiently(connection, f"dropping {STATE}", attempt, once)
    except (MigrationError, InsufficientPrivilege) as error:
        log.info("the table %s is left to the next run: %s", STATE, error)
        return False
    return True


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


# `total` is what the statistics said of the table when it was claimed.
_CREATE_STATE = f"""
    CREATE TABLE IF NOT EXISTS {STATE} (
        revision text NOT NULL,
        name text NOT NULL,
        occurrence int NOT NULL,
        digest text NOT NULL,
        end_key text,
        last_key text,
        total bigint NOT NULL,
        visited bigint NOT NULL DEFAULT 0,
        finished boolean NOT NULL DEFAULT false,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (revision, name, occurrence)
    )
"""
# One that has been rewritten since begins again.
_CLAIM = f"""
    INSERT INTO {STATE} AS state (revision, name, occurrence, digest, end_key, total)
    VALUES (:revision, :name, :occurrence, :digest, :end, :total)
    ON CONFLICT (revision, name, occurrence) DO UPDATE
    SET digest = excluded.digest, end_key = excluded.end_key, last_key = NULL,
        total = excluded.total, visited = 0, finished = false
    WHERE state.digest <> excluded.digest
"""
_WHICH = "revision = :revision AND name = :name AND occurrence = :occurrence"
_LEFT = f"SELECT greatest(total - visited, 0) FROM {STATE} WHERE {_WHICH}"
_LOCK_STATE = f"SELECT last_key, end_key, finished FROM {STATE} WHERE {_WHICH} FOR UPDATE"
_SAVE_STATE = f"""
    UPDATE {STATE} SET last_key = :last, visited = visited + :count, updated_at = now()
    WHERE {_WHICH}
"""
_FINISH = f"UPDATE {STATE} SET finished = true, updated_at = now() WHERE {_WHICH}"
_DROP_STATE = f"""DO $drop$
BEGIN
    IF to_regclass('{STATE}') IS NOT NULL THEN
        LOCK TABLE {STATE} IN ACCESS EXCLUSIVE MODE;
        IF NOT EXISTS (SELECT FROM {STATE}) THEN
            DROP TABLE {STATE};
        END IF;
    END IF;
END
$drop$"""
_ESTIMATE = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)"
