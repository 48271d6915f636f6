"""The transaction in which a database is looked at."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.errors import InsufficientPrivilege, LockNotAvailable, QueryCanceled
from sqlalchemy import Connection, text

from pgmodern.engine import require_server
from pgmodern.locks import driver

# What cannot be looked at by this role, or now; it is said, and is not the end of the rest.
UNREADABLE = InsufficientPrivilege | LockNotAvailable | QueryCanceled

# Its queries take milliseconds; of what is locked it says so instead of waiting.
_SETTINGS = (
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY",
    "SET LOCAL statement_timeout = '30s'",
    "SET LOCAL lock_timeout = '1s'",
)


@contextmanager
def reading(connection: Connection) -> Iterator[None]:
    """Open a read-only transaction that waits for nobody; its settings end with it.

    The connection must not be in a transaction. Raises ServerTooOld.
    """
    require_server(driver(connection).info.server_version // 10_000)
    with connection.begin():
        for setting in _SETTINGS:
            connection.execute(text(setting))
        yield
