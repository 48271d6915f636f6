"""Whose a test database is, on a server that outlives the run which made it.

A run holds an advisory lock while any of its processes lives, and the names of its databases say
which lock that is. So the next run knows what a killed one has left. It drops only that: a database
that anybody else made has another name, and one to which somebody is connected stays.
"""

import re
import uuid
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from pgmodern.engine import is_pooled, unavailable
from pgmodern.quoting import quoted

_NAME = re.compile(r"pgmodern_test_(?P<run>[0-9a-f]{16})_[0-9a-f]{16}")
# Autovacuum has no user, and gives way to DROP DATABASE.
_UNUSED = text("""
    SELECT datname FROM pg_catalog.pg_database AS database
    WHERE NOT datistemplate AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_stat_activity
        WHERE datid = database.oid AND usesysid IS NOT NULL)
""")
# An advisory lock is of one database, but this view shows those of all.
_HELD = text("""
    SELECT classid::bigint, objid::bigint FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
""")


def new_run() -> str:
    """Return a name for a run, which its lock and its databases bear."""
    return uuid.uuid4().hex[:16]


def new_name(run: str) -> str:
    """Return a name for a database of a run."""
    return f"pgmodern_test_{run}_{uuid.uuid4().hex[:16]}"


def hold_sql(run: str) -> str:
    """Return the statement by which a session says that a run is alive, for as long as it lasts."""
    key = int.from_bytes(bytes.fromhex(run), signed=True)
    return f"SELECT pg_catalog.pg_advisory_lock_shared({key})"


def abandoned(databases: Iterable[str], alive: Container[str]) -> list[str]:
    """Return those of the databases whose run is not among the ones that are alive."""
    named = ((name, _NAME.fullmatch(name)) for name in databases)
    return [name for name, match in named if match and match["run"] not in alive]


@contextmanager
def claimed(server: URL, run: str) -> Iterator[str | None]:
    """Drop what runs left that are no more, and say that this one is alive; give its name.

    It gives None through a pooler, where a lock says nothing about whoever took it: then nothing
    is dropped, and databases are to have names that no later run drops. Raises DatabaseUnavailable
    where the server does not answer.
    """
    with _connect(server) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        if is_pooled(driver):
            yield None
            return
        connection.execute(text("SET idle_session_timeout = 0"))
        connection.execute(text(hold_sql(run)))
        _drop_abandoned(connection)
        yield run


def _connect(server: URL) -> Connection:
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        return engine.connect()
    except DBAPIError as error:
        raise unavailable(server, error) from error


def _drop_abandoned(connection: Connection) -> None:
    # In this order: a run holds its lock before it makes a database.
    unused = list(connection.scalars(_UNUSED))
    alive = {f"{high:08x}{low:08x}" for high, low in connection.execute(_HELD)}
    for name in abandoned(unused, alive):
        # What this role may not drop, or somebody has connected to, is not for this run to drop.
        with suppress(DBAPIError):
            connection.execute(text(f"DROP DATABASE IF EXISTS {quoted(name)}"))
