"""One runner at a time: a deploy waits for the one that is migrating, and says for whom."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from pgmodern.engine import unavailable
from pgmodern.errors import DatabaseUnavailable, MigrationError
from pgmodern.locks import Driver, driver

log = logging.getLogger("pgmodern")

# Two keys, so that an application's own advisory locks of one key can never meet ours.
_SPACE, _RUNNER, _MIGRATION = 0x70676D6F, 1, 2  # 'pgmo'
_POLL_SECONDS = 0.1
_SAY_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that is migrating."""

    pid: int
    application: str
    user: str
    address: str
    since: str

    def __str__(self) -> str:
        return (
            f"pid {self.pid} ({self.application or 'unnamed'}, user {self.user}, "
            f"from {self.address}, for {self.since})"
        )


@contextmanager
def alone(engine: Engine, session: Driver | None = None) -> Iterator[Driver]:
    """Hold the runner's lock of this database while the body runs; yields the connection.

    The connection is one of its own that is idle but for questions about locks, so the server
    notices at once when this process is killed, and frees the lock. The lock is polled for: a
    waiter that blocks in `pg_advisory_lock` would hold a snapshot, for which CREATE INDEX
    CONCURRENTLY waits for ever. Raises DatabaseUnavailable, and MigrationError when the engine has
    no other connection to give than `session`, the migration's own.
    """
    with _another(engine, session) as connection:
        connection.autocommit = True
        connection.execute("SET application_name = 'pgmodern runner'")
        connection.execute("SET idle_session_timeout = 0")  # or it would end, and the lock with it
        _wait(connection, _RUNNER)
        yield connection


def require_another(engine: Engine, session: Driver) -> None:
    """Raise MigrationError when the engine has no other connection to give than this one."""
    with _another(engine, session):
        pass


@contextmanager
def _another(engine: Engine, session: Driver | None) -> Iterator[Driver]:
    """Open a connection that is not `session`, and close it in the end."""
    # A pool of its own: that of the engine may have no second connection to give.
    pool = engine.pool.recreate()
    try:
        pooled = pool.connect()
    except (DBAPIError, psycopg.Error) as error:
        raise unavailable(engine.url, error) from error
    connection = pooled.driver_connection
    assert isinstance(connection, psycopg.Connection)
    if connection is session:
        pooled.detach()  # not ours to close, nor to roll back
        raise shared()
    try:
        yield connection
    finally:
        pooled.invalidate()
        pool.dispose()


def shared() -> MigrationError:
    """Return the error that says that an engine's connections are one."""
    return MigrationError(
        "The engine gives out one and the same connection each time: the migration's own would "
        "hold the lock that keeps other migrations waiting.",
        "Nothing was done. Give an engine that opens connections: not on a StaticPool, and with no "
        "`creator` that returns one that is open.",
    )


@contextmanager
def after_the_last(connection: Connection) -> Iterator[None]:
    """Hold the lock of the migration's own session, once that of a killed runner has ended.

    A killed client's last statement, a COMMIT it may be, goes on in its session for a moment, when
    the runner's lock is free already. What we look at before it has ended would be out of date.
    """
    session = driver(connection)
    _wait(session, _MIGRATION)
    session.rollback()
    try:
        yield
    finally:
        if not session.closed:
            session.rollback()
            session.execute("SELECT pg_advisory_unlock(%s, %s)", (_SPACE, _MIGRATION))
            session.rollback()


def require_alone(connection: Driver) -> None:
    """Raise DatabaseUnavailable when the connection, and the lock with it, is lost."""
    try:
        connection.execute("SELECT")
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"The connection that keeps other migrations waiting was lost: {error}",
            "Run again: what was finished stays, the rest is taken up where it stopped.",
        ) from error


def _wait(connection: Driver, lock: int) -> None:
    said = time.monotonic() - _SAY_EVERY
    while not _try(connection, lock):
        if time.monotonic() - said >= _SAY_EVERY:
            said = time.monotonic()
            log.info("waiting for another migration: %s", holder(connection, lock))
        connection.rollback()
        time.sleep(_POLL_SECONDS)


def _try(connection: Driver, lock: int) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_SPACE, lock)).fetchone()
    return bool(row and row[0])


def holder(connection: Driver, lock: int = _RUNNER) -> Holder | None:
    """Return who holds the runner's lock, or the migration's own, in this database."""
    with connection.cursor(row_factory=class_row(Holder)) as cursor:
        return cursor.execute(_HOLDER, (_SPACE, lock)).fetchone()


_HOLDER = """
    SELECT activity.pid, activity.application_name AS application, activity.usename AS user,
           coalesce(host(activity.client_addr), 'this machine') AS address,
           date_trunc('second', now() - activity.backend_start)::text AS since
    FROM pg_catalog.pg_locks AS lock
    JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
    JOIN pg_catalog.pg_database AS here ON here.oid = lock.database
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 2
      AND here.datname = current_database()
      AND lock.classid::bigint = %s AND lock.objid::bigint = %s
"""
