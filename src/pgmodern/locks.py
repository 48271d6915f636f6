"""Bounded waiting: no statement of a migration queues the application behind it for long."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable
from psycopg.rows import class_row
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgmodern.errors import MigrationError

log = logging.getLogger("pgmodern")

T = TypeVar("T")
Driver = psycopg.Connection[tuple[object, ...]]

_SAY_AFTER = 2.0
_SAY_EVERY = 10.0
_MARGIN = 0.05
_KEY = "pgmodern_bounds"


@dataclass(frozen=True, slots=True)
class LockPolicy:
    """How long to wait for a lock at a time, and in all; seconds.

    `build` is for a concurrent build or drop of an index, which waits for every older transaction
    but stands in the way of no read and no write.
    """

    timeout: float = 1.0
    deadline: float = 600.0
    build: float = 3600.0
    first_pause: float = 0.1
    longest_pause: float = 15.0


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds what another waits for; `query` is its last or present one."""

    pid: int
    application: str
    user: str
    query: str
    age: str
    is_autovacuum: bool = False

    @property
    def name(self) -> str:
        """Which session it is, whatever it does by now."""
        return f"pid {self.pid} ({self.application or 'unnamed'}, user {self.user})"

    def __str__(self) -> str:
        query = " ".join(self.query.split())[:100]
        return f"{self.name}, in a transaction for {self.age}: {query}"


# A prepared transaction holds locks without a session; it is shown as pid 0.
_BLOCKERS = """
    SELECT blocker.pid,
           coalesce(activity.application_name, 'a prepared transaction') AS application,
           coalesce(activity.usename, 'unknown') AS user,
           coalesce(activity.query, 'see pg_prepared_xacts') AS query,
           coalesce(date_trunc('second', now() - activity.xact_start)::text, 'some time') AS age,
           coalesce(activity.backend_type = 'autovacuum worker', false) AS is_autovacuum
    FROM (SELECT DISTINCT unnest(pg_blocking_pids(%s)) AS pid) AS blocker
    LEFT JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
    ORDER BY activity.xact_start
"""


@dataclass(slots=True)
class Bounds:
    """What a migration's connection waits by: the policy, and a second connection that watches.

    `waited` sums up, for each session, how many seconds it was waited for. `seen` is whom the
    watch that is under way saw last, None when there is none.
    """

    policy: LockPolicy = field(default_factory=LockPolicy)
    observer: Driver | None = None
    waited: dict[str, float] = field(default_factory=dict)
    seen: list[Blocker] | None = None


def bounds(connection: Connection) -> Bounds:
    """Return the bounds of a connection, those of the default policy unless others were set."""
    found: Bounds = connection.info.setdefault(_KEY, Bounds())
    return found


@contextmanager
def bound(connection: Connection, policy: LockPolicy, observer: Driver | None) -> Iterator[Bounds]:
    """Have all that waits on this connection wait by the policy while the body runs."""
    info = connection.info  # of a connection that is lost in between there is none
    info[_KEY] = Bounds(policy, observer)
    try:
        yield info[_KEY]
    finally:
        info.pop(_KEY, None)


def pauses(policy: LockPolicy, jitter: Callable[[], float] = random.random) -> Iterator[float]:
    """Yield how long to pause before each further try: doubling, half of it at random."""
    pause = policy.first_pause
    while True:
        yield pause * (0.5 + jitter() / 2)
        pause = min(pause * 2, policy.longest_pause)


def driver(connection: Connection) -> Driver:
    """Return psycopg's connection, which leaves % and : in a statement alone."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise MigrationError(
            f"The connection is one of {type(raw).__module__}.",
            "Migrations need a synchronous engine on the psycopg driver: postgresql+psycopg://",
        )
    return raw


@contextmanager
def plain_cursors(connection: Connection) -> Iterator[None]:
    """Have results come as text while the body runs, whatever the engine's cursors are.

    Names of tables and keys are read to be written into statements.
    """
    session = driver(connection)
    before, session.cursor_factory = session.cursor_factory, psycopg.Cursor
    try:
        yield
    finally:
        session.cursor_factory = before


def transaction(
    connection: Connection, *, roll_back: bool = False
) -> AbstractContextManager[psycopg.Transaction]:
    """Open a transaction of its own on a connection that is in autocommit mode."""
    return driver(connection).transaction(force_rollback=roll_back)


def blockers(observer: Driver, pid: int) -> list[Blocker]:
    """Return the sessions that a server process waits for, the longest transaction first."""
    with observer.cursor(row_factory=class_row(Blocker)) as cursor:
        return cursor.execute(_BLOCKERS, [pid]).fetchall()


@contextmanager
def watched(connection: Connection) -> Iterator[list[Blocker]]:
    """Note whom the connection waits for while the body runs, and say so when it takes long.

    A statement that gave up waiting cannot tell any more who was in its way. Inside of another
    watch it is that one, so that what was waited for is counted once.
    """
    by = bounds(connection)
    if by.observer is None or by.seen is not None:
        yield [] if by.seen is None else by.seen
        return
    found: list[Blocker] = []
    by.seen = found
    over, pid = threading.Event(), driver(connection).info.backend_pid
    watch = threading.Thread(target=_watch, args=(by, pid, over, found), daemon=True)
    watch.start()
    try:
        yield found
    finally:
        over.set()
        watch.join()
        by.seen = None


def _watch(by: Bounds, pid: int, over: threading.Event, found: list[Blocker]) -> None:
    assert by.observer is not None
    every = min(0.5, by.policy.timeout / 3)
    waiting, said = 0.0, _SAY_AFTER - _SAY_EVERY
    while not over.wait(every):
        try:
            seen = blockers(by.observer, pid)
        except psycopg.Error:  # the observer is gone; whom it saw last is known
            return
        waiting = waiting + every if seen else 0.0
        for each in seen:
            by.waited[each.name] = by.waited.get(each.name, 0.0) + every
        if seen:
            found[:] = seen
        if waiting - said >= _SAY_EVERY:
            said = waiting
            log.info("waiting for %s", named(seen))


def named(found: list[Blocker]) -> str:
    """Say who the blockers are, one after the other."""
    return "; ".join(map(str, found)) or "a session that was gone before it could be named"


def patiently(
    connection: Connection,
    what: str,
    attempt: Callable[[float], T],
    policy: LockPolicy | None = None,
) -> T:
    """Return what the attempt returns, tried again whenever it could not have a lock.

    The attempt is given the seconds to wait for a lock, and undoes itself when it fails, so that
    nothing queues behind it during the pauses. Raises MigrationError at the policy's deadline,
    naming who holds the lock.
    """
    policy = policy or bounds(connection).policy
    started, timeout = time.monotonic(), policy.timeout
    for pause in pauses(policy):
        with watched(connection) as found:
            try:
                return attempt(timeout)
            except (LockNotAvailable, DeadlockDetected, DBAPIError) as error:
                if not _could_not_lock(error):
                    raise
                last = error
        waited = time.monotonic() - started
        if waited + pause > policy.deadline:
            raise MigrationError(
                f"No lock within {waited:.0f} s for: {what}. It is held by {named(found)}",
                "Nothing of it was done. End that transaction (pg_stat_activity, "
                "pg_terminate_backend) or wait for it, then run again.",
            ) from last
        log.info("%s waits for %s; again in %.1f s", what, named(found), pause)
        if any(each.is_autovacuum for each in found):
            timeout = max(policy.timeout, _until_autovacuum_yields(connection))
        time.sleep(pause)
    raise AssertionError("pauses never end")


def _until_autovacuum_yields(connection: Connection) -> float:
    """PostgreSQL cancels an autovacuum for whoever has waited for `deadlock_timeout`, not before.

    See the manual, 24.1.6. A waiter that gives up earlier would try in vain until the deadline.
    """
    row = driver(connection).execute(
        "SELECT extract(epoch FROM current_setting('deadlock_timeout')::interval)::float"
    )
    (seconds,) = row.fetchone() or (1.0,)
    return float(str(seconds)) + _MARGIN


def _could_not_lock(error: psycopg.Error | DBAPIError) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, LockNotAvailable | DeadlockDetected)


def execute_briefly(
    connection: Connection, *statements: str, policy: LockPolicy | None = None
) -> None:
    """Execute statements that lock a table, in one transaction, retried until the locks are had.

    Each try waits `policy.timeout` for a lock, so nothing queues behind us for longer than that.
    The connection must be in autocommit mode. Raises MigrationError at the deadline.
    """

    def attempt(timeout: float) -> None:
        with transaction(connection), driver(connection).cursor() as cursor:
            cursor.execute(bounded(timeout).encode())
            for statement in statements:
                cursor.execute(statement.encode())

    patiently(connection, statements[0], attempt, policy)


def bounded(timeout: float) -> str:
    """Return the SET LOCAL that bounds each wait for a lock; at least 1 ms, as 0 is for ever."""
    return f"SET LOCAL lock_timeout = '{milliseconds(timeout)}'"


def milliseconds(seconds: float) -> str:
    """Return a setting's value in milliseconds, at least one."""
    return f"{max(1, round(seconds * 1000))}ms"


# Before a second table is locked in the same transaction. A session that came the other way round
# waits for us: we give up well before its deadlock_timeout, so that it is not the one to fail.
SECOND_LOCK = bounded(0.1)


@contextmanager
def patience(connection: Connection) -> Iterator[None]:
    """Let a concurrent build or drop of an index wait for the transactions that it must outlive.

    It waits for every older snapshot, so a short `lock_timeout` would end it for any long query;
    and it can wait, as its own lock stands in the way of no read and no write. Raises
    MigrationError when the policy's `build` is over.
    """
    session, policy = driver(connection), bounds(connection).policy
    before = session.execute("SELECT current_setting('lock_timeout')").fetchone()
    session.execute(f"SET lock_timeout = '{milliseconds(policy.build)}'".encode())
    with watched(connection) as found:
        try:
            yield
        except (LockNotAvailable, DBAPIError) as error:
            if not isinstance(getattr(error, "orig", error), LockNotAvailable):
                raise
            raise MigrationError(
                f"A concurrent build waited {policy.build:.0f} s for {named(found)}",
                "End that transaction or wait for it, then run again: what the build left behind "
                "is removed first.",
            ) from error
        finally:
            if before is not None and not session.closed:
                session.execute("SELECT set_config('lock_timeout', %s, false)", before)
