"""Engines for application code: SQLAlchemy's own, with pools for each use, and PgBouncer."""

from collections.abc import Mapping
from typing import Any, Literal

import psycopg
from psycopg.errors import FeatureNotSupported
from sqlalchemy import URL, Dialect, Engine, ExceptionContext, event
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine
from sqlalchemy.pool import NullPool

from pgmodern.errors import (
    DatabaseUnavailable,
    PackageUnavailable,
    ServerTooOld,
    SettingsError,
)
from pgmodern.settings import DRIVERS, is_through_pgbouncer, parse_url, without_pgbouncer
from pgmodern.types import HalfVector, SparseVector, Vector
from pgmodern.types.wire import send_in_binary

MINIMUM_SERVER = 15
_VECTOR_TYPES = {"vector": Vector, "halfvec": HalfVector, "sparsevec": SparseVector}
_REVALIDATION = "RevalidateCachedQuery"  # of the server's plancache.c, the same in any language

Preset = Literal["web", "worker", "serverless"]
# Seconds. No overflow: it would open and close connections just when the server is busiest.
PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "web": {"pool_size": 10, "max_overflow": 0, "pool_timeout": 5, "pool_recycle": 1800},
    "worker": {"pool_size": 2, "max_overflow": 0, "pool_timeout": 30, "pool_recycle": 1800},
    "serverless": {"poolclass": NullPool},
}


def create_engine(
    url: URL | str, *, preset: Preset | None = None, pgbouncer: bool | None = None, **kwargs: Any
) -> Engine:
    """Return a SQLAlchemy engine for psycopg, with pools for web, workers and functions.

    Opens nothing. Every result and every error is that of SQLAlchemy's own `create_engine`; only
    values of this package's types go out in binary.

    `preset` is one of `PRESETS`; without it the pool is SQLAlchemy's own. `pgbouncer` says that
    the URL leads to a PgBouncer in transaction mode, as `?pgbouncer=true` in the URL does: nothing
    is prepared then, because the statement would lie in another client's session. From PgBouncer
    1.22 on, with its `max_prepared_statements` above 0 (the default since 1.24),
    `connect_args={"prepare_threshold": 5}` prepares again. Every keyword goes before what the
    preset says.

    Raises SettingsError for a URL that is not PostgreSQL's, for an unknown preset, and for
    prepared statements through PgBouncer with a libpq before 17.
    """
    url = parse_url(url)
    pgbouncer = is_through_pgbouncer(url) if pgbouncer is None else pgbouncer
    connect_args = _psycopg_arguments(kwargs, pgbouncer=pgbouncer)
    options = _preset(preset) | kwargs | connect_args
    engine = sa_create_engine(without_pgbouncer(url), **options)
    _equip(engine)
    return engine


def create_async_engine(
    url: URL | str, *, preset: Preset | None = None, pgbouncer: bool | None = None, **kwargs: Any
) -> AsyncEngine:
    """Return the asynchronous twin of `create_engine`; a URL may name asyncpg, too.

    asyncpg prepares every statement. Through PgBouncer it keeps none and gives none a name; as it
    executes what it has prepared by a second message, AUTOCOMMIT raises SettingsError there. Where
    asyncpg is not installed, PackageUnavailable is raised.
    """
    parsed = parse_url(url, DRIVERS)
    pgbouncer = is_through_pgbouncer(parsed) if pgbouncer is None else pgbouncer
    is_asyncpg = parsed.get_driver_name() == "asyncpg"
    arguments = _asyncpg_arguments if is_asyncpg else _psycopg_arguments
    connect_args = arguments(kwargs, pgbouncer=pgbouncer)
    options = _preset(preset) | kwargs | connect_args
    try:
        engine = sa_create_async_engine(without_pgbouncer(parsed), **options)
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise PackageUnavailable(
            "The URL names the driver asyncpg, which is not installed.",
            "Run: pip install 'pgmodern[asyncpg]', or write postgresql+psycopg://.",
        ) from None
    if is_asyncpg and pgbouncer and not options["connect_args"]["statement_cache_size"]:
        _refuse_autocommit(engine.sync_engine, options)
    _equip(engine.sync_engine)
    return engine


def _equip(engine: Engine) -> None:
    """Give an engine, and nothing else in the process, what this package adds."""
    if engine.dialect.driver == "psycopg":
        send_in_binary(engine)
        event.listen(engine, "handle_error", _renew_where_stale)


def reflect_vectors(dialect: Dialect) -> None:
    """Have reflection over one engine know the types of this package; over no other.

    Without it reflection is SQLAlchemy's, which knows pgvector's own types where the application
    has imported them. A BIT stays SQLAlchemy's, as it may be anything.
    """
    assert isinstance(dialect, PGDialect)
    dialect.ischema_names = {**dialect.ischema_names, **_VECTOR_TYPES}


def _preset(name: Preset | None) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in PRESETS:
        raise SettingsError(f"There is no preset {name!r}.", f"Use one of {', '.join(PRESETS)}.")
    return dict(PRESETS[name])


def _psycopg_arguments(kwargs: dict[str, Any], *, pgbouncer: bool) -> dict[str, Any]:
    if not pgbouncer:
        return {}
    given = {"prepare_threshold": None, **kwargs.get("connect_args", {})}
    prepares = given["prepare_threshold"] is not None
    if prepares and not psycopg.capabilities.has_send_close_prepared():
        raise SettingsError(
            "Prepared statements through PgBouncer need libpq 17, which closes them by a message "
            f"that PgBouncer understands; this one is {psycopg.pq.version() // 10_000}.",
            "Upgrade psycopg[binary] or libpq, or leave prepare_threshold out.",
        )
    return {"connect_args": given}


def _asyncpg_arguments(kwargs: dict[str, Any], *, pgbouncer: bool) -> dict[str, Any]:
    if not pgbouncer:
        return {}
    # asyncpg closes a statement when it prepares the next: of one with a name that would be in
    # somebody else's session, and the last one of each transaction would stay there for ever.
    unnamed = {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }
    return {"connect_args": unnamed | kwargs.get("connect_args", {})}


def _refuse_autocommit(engine: Engine, kwargs: Mapping[str, Any]) -> None:
    """Have whatever asks one engine for AUTOCOMMIT be refused."""
    _require_transactions(kwargs)
    _require_transactions(kwargs.get("execution_options", {}))
    for name in ("set_engine_execution_options", "set_connection_execution_options"):
        event.listen(engine, name, lambda _, options: _require_transactions(options))


def _require_transactions(options: Mapping[str, Any]) -> None:
    if str(options.get("isolation_level")).upper() == "AUTOCOMMIT":
        raise SettingsError(
            "asyncpg prepares a statement, then executes it. Between the two, in AUTOCOMMIT, "
            "PgBouncer may give the session to another client.",
            "Leave AUTOCOMMIT out, or let the URL begin with postgresql+psycopg://, which does "
            "both at once.",
        )


def is_pooled(session: psycopg.Connection[Any]) -> bool:
    """Tell whether a pooler, such as PgBouncer, stands between a session and the server.

    Its sessions are not ours, nor are their locks, settings and channels. One round trip.
    """
    found = session.execute("SELECT pg_backend_pid()").fetchone()
    return found != (session.info.backend_pid,)


def _renew_where_stale(context: ExceptionContext) -> None:
    """Have the pool's connections renewed when a prepared statement is out of date.

    Its result has other types since a table was altered, and it would fail on each connection in
    turn, for ever on one in autocommit mode. As after a lost connection, the next try works.
    """
    error = context.original_exception
    # The sqlstate alone says no more than that something is not supported.
    if isinstance(error, FeatureNotSupported) and error.diag.source_function == _REVALIDATION:
        context.is_disconnect = True


def unavailable(url: URL | str, error: BaseException) -> DatabaseUnavailable:
    """Say which database could not be reached, in the server's own words and without a password."""
    url = parse_url(url)
    url = url.difference_update_query([name for name in url.query if "password" in name])
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    words = str(cause).strip()
    if url.password:
        words = words.replace(str(url.password), "***")
    return DatabaseUnavailable(
        f"No connection to {url.render_as_string(hide_password=True)}: {words}",
        "Check DATABASE_URL (or POSTGRES_HOST, PORT, USER, PASSWORD and DB), and that the server "
        "runs and accepts this user.",
    )


def require_server(version: int) -> None:
    """Raise ServerTooOld unless the server's major version is supported."""
    if version < MINIMUM_SERVER:
        raise ServerTooOld(
            f"The server is PostgreSQL {version}; pgmodern needs {MINIMUM_SERVER} or later.",
            "Upgrade the server; see https://www.postgresql.org/support/versioning/.",
        )
