"""`run()` is the whole of a user's env.py: connection, preflight, bounded waiting, offline SQL."""

import logging.config
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from alembic import context
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.pool import NullPool

from pgmodern import autogenerate, embedded, operations, settings
from pgmodern.backfill import STATE
from pgmodern.engine import require_server, unavailable
from pgmodern.errors import DatabaseUnavailable, MigrationError, PgmodernError
from pgmodern.extensions import preflight
from pgmodern.indexes import required_extensions
from pgmodern.locks import driver
from pgmodern.operations.created import RECORD

# Of the migration's own session: no default of the database or the role may end a long build, and
# a killed client must not leave its statement waiting for a lock.
SESSION = {
    "lock_timeout": "5s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_connection_check_interval": "500ms",
}
# Connection exception, operator intervention (manual, appendix A).
_LOST = {"08", "57"}


def run(target_metadata: MetaData | Sequence[MetaData]) -> None:
    """Run the Alembic command that loaded env.py against the configured database.

    The database is what the settings name, or the engine or connection that a program put into
    `config.attributes["connection"]`. Before an upgrade, the server and every extension that the
    metadata needs are checked, so that nothing is begun that cannot be ended.

    From the command line an error is one message and exit code 1; a program gets it raised.
    """
    operations.register()
    autogenerate.register()
    _configure_logging()
    try:
        if context.is_offline_mode():
            _run_offline(target_metadata)
        else:
            with _connection() as connection:
                _run_online(connection, target_metadata)
    except PgmodernError as error:
        if context.config.cmd_opts is None:
            raise
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None


def _configure_logging() -> None:
    config = context.config
    if config.cmd_opts is not None and config.config_file_name is not None:
        logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)


def _run_offline(target_metadata: MetaData | Sequence[MetaData]) -> None:
    context.configure(
        dialect_name="postgresql",
        target_metadata=target_metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _run_online(connection: Connection, target_metadata: MetaData | Sequence[MetaData]) -> None:
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        transaction_per_migration=True,
        include_name=is_application_s,
    )
    _check_before_upgrade(connection, target_metadata)
    try:
        with context.begin_transaction():
            context.run_migrations()
    except DBAPIError as error:
        if explained := _explained(error):
            raise explained from error
        raise
    except PendingRollbackError as error:  # the end of an autocommit block hides what ended it
        raise _lost(error.__context__) from error
    except psycopg.OperationalError as error:  # from psycopg, which online operations speak to
        if (error.sqlstate or "08")[:2] in _LOST:
            raise _lost(error) from error
        raise


def _lost(error: BaseException | None) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The connection was lost: {error}",
        "Run again: what was finished stays, the rest is taken up where it stopped.",
    )


def _explained(error: DBAPIError) -> PgmodernError | None:
    """Give an error that is not the revision's own its cure; None for any other."""
    if error.connection_invalidated:
        return _lost(error.orig)
    if isinstance(error.orig, psycopg.errors.LockNotAvailable):
        return MigrationError(
            f"A table stayed locked for {SESSION['lock_timeout']}: {error.orig}",
            "What was not committed is undone. Run again when the transaction that holds the "
            "lock has ended (pg_stat_activity, pg_locks).",
        )
    if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
        return MigrationError(
            f"This role may not do that: {error.orig}",
            "Run the migrations as the role that owns the tables, and GRANT it CREATE on the "
            "schema.",
        )
    return None


def is_application_s(name: str | None, type_: str, _parents: object) -> bool:
    """Tell the application's tables from the two that the migrations keep for themselves."""
    return not (type_ == "table" and name in {STATE, RECORD})


def _check_before_upgrade(
    connection: Connection, target_metadata: MetaData | Sequence[MetaData]
) -> None:
    migration = context.get_context()
    steps = migration.opts["fn"]
    if getattr(steps, "__name__", None) != "upgrade":
        return
    try:
        if list(steps(migration.get_current_heads(), migration)):
            require_server(driver(connection).info.server_version // 10_000)
            preflight(connection, required_extensions(target_metadata))
    finally:
        connection.rollback()


@contextmanager
def _connection() -> Iterator[Connection]:
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        if given.in_transaction():
            raise MigrationError(
                "The connection given to Alembic is in a transaction.",
                "Commit it before, or give an engine: each revision commits for itself.",
            )
        _require_transactions(given)
        yield given
        return
    engine = (
        given if isinstance(given, Engine) else create_engine(database_url(), poolclass=NullPool)
    )
    try:
        connection = engine.connect()
    except (DBAPIError, psycopg.Error, UnicodeError) as error:
        raise unavailable(engine.url, error) from error
    with connection:
        _require_transactions(connection)
        for name, value in SESSION.items():
            connection.execute(text(f"SET {name} = '{value}'"))
        connection.commit()
        try:
            yield connection
        finally:
            connection.invalidate()  # a session with our settings must not go back to a pool


def _require_transactions(connection: Connection) -> None:
    if driver(connection).autocommit:
        raise MigrationError(
            "The connection given to Alembic is in AUTOCOMMIT.",
            "Give one that is not, or an engine: revisions need transactions.",
        )


def database_url() -> URL:
    """Return where the database is, starting the embedded server when no other is named."""
    configured = settings.read()
    return configured.url or embedded.start(configured.home)
