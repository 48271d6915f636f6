"""Bounded waiting: no statement of a migration queues the application behind it for long."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import Cursor
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection

from pgmodern.errors import MigrationError

log = logging.getLogger("pgmodern")

PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class LockPolicy:
    """How long to wait for a lock at a time, and in all; seconds."""

    timeout: float = 1.0
    deadline: float = 600.0
    first_pause: float = 0.1
    longest_pause: float = 15.0


def pauses(policy: LockPolicy, jitter: Callable[[], float] = random.random) -> Iterator[float]:
    """Yield how long to pause before each further try: doubling, half of it at random."""
    pause = policy.first_pause
    while True:
        yield pause * (0.5 + jitter() / 2)
        pause = min(pause * 2, policy.longest_pause)


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """Return psycopg's connection, which leaves % and : in a statement alone."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def transaction(
    connection: Connection, *, roll_back: bool = False
) -> AbstractContextManager[psycopg.Transaction]:
    """Open a transaction of its own on a connection that is in autocommit mode."""
    return driver(connection).transaction(force_rollback=roll_back)


@contextmanager
def patience(connection: Connection) -> Iterator[None]:
    """Let a concurrent build or drop of an index wait for the transactions that it must outlive.

    It waits for every older snapshot, so a short `lock_timeout` would end it for any long query;
    and it can wait, as its own lock stands in the way of no read and no write.
    """
    session = driver(connection)
    before = session.execute("SELECT current_setting('lock_timeout')").fetchone()
    session.execute(f"SET lock_timeout = '{PATIENCE:.0f}s'".encode())
    try:
        yield
    finally:
        if before is not None and not session.closed:
            session.execute("SELECT set_config('lock_timeout', %s, false)", before)


def execute_briefly(
    connection: Connection, *statements: str, policy: LockPolicy | None = None
) -> None:
    """Execute statements that lock a table, in one transaction, retried until the locks are had.

    Each try waits `policy.timeout` for a lock, so nothing queues behind us for longer than that.
    The connection must be in autocommit mode. Raises MigrationError at the deadline.
    """
    policy = policy or LockPolicy()
    started = time.monotonic()
    for pause in pauses(policy):
        try:
            with transaction(connection), driver(connection).cursor() as cursor:
                _apply(cursor, policy.timeout, statements)
        except (LockNotAvailable, DeadlockDetected) as error:
            waited = time.monotonic() - started
            if waited + pause > policy.deadline:
                raise MigrationError(
                    f"No lock within {waited:.0f} s for: {statements[0]}",
                    "Find the transaction that holds it in pg_stat_activity, then run again.",
                ) from error
            log.info("lock not available, trying again in %.1f s: %s", pause, statements[0])
            time.sleep(pause)
        else:
            return


def bounded(timeout: float) -> str:
    """Return the SET LOCAL that bounds each wait for a lock; at least 1 ms, as 0 is for ever."""
    return f"SET LOCAL lock_timeout = '{max(1, round(timeout * 1000))}ms'"


def _apply(cursor: Cursor[tuple[object, ...]], timeout: float, statements: tuple[str, ...]) -> None:
    cursor.execute(bounded(timeout).encode())
    for statement in statements:
        cursor.execute(statement.encode())
