"""Engines for application code: binary results, prepared statements, pools, PgBouncer."""

from collections.abc import Mapping
from json import JSONDecoder
from typing import Any, Literal

import psycopg
from psycopg.errors import FeatureNotSupported
from psycopg.pq import Format
from sqlalchemy import URL, Engine, ExceptionContext, event
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine
from sqlalchemy.pool import NullPool

from pgmodern.errors import DatabaseUnavailable, ServerTooOld, SettingsError
from pgmodern.settings import is_through_pgbouncer, parse_url, without_pgbouncer

MINIMUM_SERVER = 16
_PREPARE_AFTER = 3
_REVALIDATION = "RevalidateCachedQuery"  # of the server's plancache.c, the same in any language

Preset = Literal["web", "worker", "serverless"]
# Seconds. No overflow: it would open and close connections just when the server is busiest.
PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "web": {"pool_size": 10, "max_overflow": 0, "pool_timeout": 5, "pool_recycle": 1800},
    "worker": {"pool_size": 2, "max_overflow": 0, "pool_timeout": 30, "pool_recycle": 1800},
    "serverless": {"poolclass": NullPool},
}


class BinaryCursor(psycopg.Cursor[Any]):
    """A cursor whose results come in PostgreSQL's binary format."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.format = Format.BINARY


class AsyncBinaryCursor(psycopg.AsyncCursor[Any]):
    """The asynchronous twin of BinaryCursor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.format = Format.BINARY


def create_engine(
    url: URL | str, *, preset: Preset | None = None, pgbouncer: bool | None = None, **kwargs: Any
) -> Engine:
    """Return a SQLAlchemy engine with binary results and prepared statements; opens nothing.

    `preset` is one of `PRESETS`; without it the pool is SQLAlchemy's own. `pgbouncer` says that
    the URL leads to a PgBouncer in transaction mode, as `?pgbouncer=true` in the URL does: nothing
    is prepared then, because the statement would lie in another client's session. From PgBouncer
    1.22 on, with its `max_prepared_statements` above 0 (the default since 1.24),
    `connect_args={"prepare_threshold": 3}` prepares again. Every keyword goes before what the
    preset says.

    A type that psycopg has no binary loader for (an enumeration of yours, tsvector) arrives as
    bytes; an application that reads such columns uses SQLAlchemy's own `create_engine`, with
    which every query and repository here works just as well, in text.

    Raises SettingsError for a URL that is not PostgreSQL's, for an unknown preset, and for
    prepared statements through PgBouncer with a libpq before 17.
    """
    url = parse_url(url)
    pgbouncer = is_through_pgbouncer(url) if pgbouncer is None else pgbouncer
    options = _options(BinaryCursor, preset, kwargs, pgbouncer=pgbouncer)
    engine = sa_create_engine(without_pgbouncer(url), **options)
    event.listen(engine, "handle_error", _renew_where_stale)
    return engine


def create_async_engine(
    url: URL | str, *, preset: Preset | None = None, pgbouncer: bool | None = None, **kwargs: Any
) -> AsyncEngine:
    """Return the asynchronous twin of `create_engine`."""
    url = parse_url(url)
    pgbouncer = is_through_pgbouncer(url) if pgbouncer is None else pgbouncer
    options = _options(AsyncBinaryCursor, preset, kwargs, pgbouncer=pgbouncer)
    engine = sa_create_async_engine(without_pgbouncer(url), **options)
    event.listen(engine.sync_engine, "handle_error", _renew_where_stale)
    return engine


def _options(
    cursor: type[Any], preset: Preset | None, kwargs: dict[str, Any], *, pgbouncer: bool
) -> dict[str, Any]:
    if preset is not None and preset not in PRESETS:
        raise SettingsError(f"There is no preset {preset!r}.", f"Use one of {', '.join(PRESETS)}.")
    given = kwargs.get("connect_args", {})
    threshold = given.get("prepare_threshold", None if pgbouncer else _PREPARE_AFTER)
    if pgbouncer and threshold is not None and not psycopg.capabilities.has_send_close_prepared():
        raise SettingsError(
            "Prepared statements through PgBouncer need libpq 17, which closes them by a message "
            f"that PgBouncer understands; this one is {psycopg.pq.version() // 10_000}.",
            "Upgrade psycopg[binary] or libpq, or leave prepare_threshold out.",
        )
    ours = {"cursor_factory": cursor, "prepare_threshold": threshold}
    options = {"json_deserializer": _json, **PRESETS.get(preset, {}), **kwargs}  # type: ignore[arg-type]
    return options | {"connect_args": ours | given}


_decode_json = JSONDecoder().raw_decode


def _json(data: bytes) -> Any:
    """Decode a document in a third of the time of `json.loads`, which first asks what it is.

    A `json`, unlike a `jsonb`, may begin with white space.
    """
    return _decode_json(data.decode().lstrip())[0]


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
