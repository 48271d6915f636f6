"""What the database refuses while it is migrated, as an error of ours that says the cure."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from pgmodern.errors import DatabaseUnavailable, MigrationError, PgmodernError

# Connection exception; operator intervention, but for a statement that was cancelled (manual,
# appendix A).
_LOST, _CANCELED = {"08", "57"}, "57014"


@contextmanager
def cured() -> Iterator[None]:
    """Raise what is not a revision's own error as one of ours, which says the cure."""
    try:
        yield
    except (DBAPIError, PendingRollbackError, psycopg.Error) as error:
        if explained := _explained(error):
            raise explained from error
        raise


def _explained(error: Exception) -> PgmodernError | None:
    """Give an error that is not the revision's own its cure; None for any other."""
    if isinstance(error, PendingRollbackError):  # the end of an autocommit block hides what was
        return _lost(error.__context__)
    # from psycopg itself, which online operations speak to, or wrapped by SQLAlchemy
    cause = error.orig if isinstance(error, DBAPIError) else error
    if _is_loss(cause) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return _lost(cause)
    if isinstance(error, DBAPIError) and _is_misread(error):
        return MigrationError(
            f"psycopg takes % for a placeholder in what exec_driver_sql is given: {cause}",
            "Write %% there. If the revisions were written for asyncpg, say so: let DATABASE_URL "
            "begin with postgresql+asyncpg://, or a program's "
            'config.attributes["driver"] be "asyncpg".',
        )
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return MigrationError(
            f"A table stayed locked: {cause}",
            "What was not committed is undone. Run again when the transaction that holds the "
            "lock has ended (pg_stat_activity, pg_locks).",
        )
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return MigrationError(
            f"This role may not do that: {cause}",
            "Run the migrations as the role that owns the tables, and GRANT it CREATE on the "
            "schema.",
        )
    return None


def _is_misread(error: DBAPIError) -> bool:
    """Tell whether psycopg sent nothing because of a %, as there were no parameters to refuse."""
    unsent = isinstance(error.orig, psycopg.ProgrammingError) and error.orig.sqlstate is None
    return unsent and "%" in (error.statement or "") and not error.params


def _is_loss(error: BaseException | None) -> bool:
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = error.sqlstate or "08"  # the connection broke before the server said anything
    return state[:2] in _LOST and state != _CANCELED


def _lost(error: BaseException | None) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The connection was lost: {error}",
        "Run again: what was finished stays, the rest is taken up where it stopped.",
    )
