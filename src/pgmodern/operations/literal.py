"""SQL as it is written, online and offline."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic.operations import Operations
from sqlalchemy import text

from pgmodern.locks import LockPolicy, milliseconds

POLICY = "pgmodern_lock_policy"  # the name of the script's policy among the context's options


def policy_of(operations: Operations) -> LockPolicy:
    """Return the policy that a script waits by."""
    policy: LockPolicy = operations.migration_context.opts.get(POLICY, LockPolicy())
    return policy


def execute(operations: Operations, sql: str) -> None:
    """Execute SQL in which a colon and a percent sign mean nothing."""
    operations.execute(text(sql.replace(":", r"\:")))


@contextmanager
def patiently_offline(operations: Operations) -> Iterator[None]:
    """Write around a concurrent build or drop that it may wait for older transactions.

    The rest of a script waits `policy.timeout` for a lock (see `environment`).
    """
    policy = policy_of(operations)
    execute(operations, f"SET lock_timeout = '{milliseconds(policy.build)}'")
    yield
    execute(operations, f"SET lock_timeout = '{milliseconds(policy.timeout)}'")


def string(value: str) -> str:
    """Return a value as an SQL string literal (of standard_conforming_strings)."""
    return "'" + value.replace("'", "''") + "'"
