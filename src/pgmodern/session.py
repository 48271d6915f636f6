"""The settings of a migration's own session, for as long as it migrates."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from pgmodern.locks import Driver, LockPolicy, driver, milliseconds

# No default of the database or the role may end a long build, and a killed client must not leave
# its statement waiting for a lock.
_SETTINGS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "client_connection_check_interval": "500ms",
}
_HAS_TRANSACTION_TIMEOUT = 170_000


@contextmanager
def settled(connection: Connection, policy: LockPolicy) -> Iterator[None]:
    """Give a session the settings of a migration while the body runs, and its own back after it.

    Of the session, not of each transaction: online operations run outside of one. What the session
    itself had set is set again, what it had from elsewhere (server, database, role, connection
    string) is reset to that. The connection must not be in a transaction.
    """
    session = driver(connection)
    ours = settings(policy, session.info.server_version)
    before = session.execute(_BEFORE, [list(ours)]).fetchall()
    for name, value in ours.items():
        session.execute(f"SET {name} = '{value}'".encode())
    session.commit()
    try:
        yield
    finally:
        if not session.closed:
            _restore(session, before)


def settings(policy: LockPolicy, server_version: int) -> dict[str, str]:
    """Return what a migration's session is to be set to; `server_version` as in 180003."""
    ours = _SETTINGS | {"lock_timeout": milliseconds(policy.timeout)}
    if server_version >= _HAS_TRANSACTION_TIMEOUT:
        ours["transaction_timeout"] = "0"
    return ours


def _restore(session: Driver, before: list[tuple[object, ...]]) -> None:
    session.rollback()
    for name, value in before:
        if value is None:
            session.execute(f"RESET {name}".encode())
        else:
            session.execute("SELECT set_config(%s, %s, false)", [name, value])
    session.commit()


_BEFORE = """
    SELECT name, CASE source WHEN 'session' THEN current_setting(name) END
    FROM pg_catalog.pg_settings WHERE name = ANY (%s)
"""
