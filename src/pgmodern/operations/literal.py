"""SQL as it is written, online and offline."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic.operations import Operations
from sqlalchemy import text

from pgmodern.locks import LockPolicy, milliseconds


def execute(operations: Operations, sql: str) -> None:
    """Execute SQL in which a colon and a percent sign mean nothing."""
    operations.execute(text(sql.replace(":", r"\:")))


@contextmanager
def patiently_offline(operations: Operations) -> Iterator[None]:
    """Write around a concurrent build or drop that it may wait for older transactions.

    The rest of a script waits a second for a lock (see `environment`).
    """
    policy = LockPolicy()
    execute(operations, f"SET lock_timeout = '{milliseconds(policy.build)}'")
    yield
    execute(operations, f"SET lock_timeout = '{milliseconds(policy.timeout)}'")


def string(value: str) -> str:
    """Return a value as an SQL string literal (of standard_conforming_strings)."""
    return "'" + value.replace("'", "''") + "'"
