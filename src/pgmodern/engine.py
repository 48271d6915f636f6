"""Engines for application code: binary results, prepared statements, errors that say the cure."""

from typing import Any

import psycopg
from psycopg.errors import FeatureNotSupported
from psycopg.pq import Format
from sqlalchemy import URL, Engine, ExceptionContext, event
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine

from pgmodern.errors import DatabaseUnavailable, ServerTooOld
from pgmodern.settings import parse_url

MINIMUM_SERVER = 16
_PREPARE_AFTER = 3
_REVALIDATION = "RevalidateCachedQuery"  # of the server's plancache.c, the same in any language


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


def create_engine(url: URL | str, **kwargs: Any) -> Engine:
    """Return a SQLAlchemy engine with binary results and prepared statements; opens nothing.

    A type that psycopg has no binary loader for (an enumeration of yours, tsvector) arrives as
    bytes; an application that reads such columns uses SQLAlchemy's own `create_engine`, with
    which every query and repository here works just as well, in text.
    """
    engine = sa_create_engine(parse_url(url), **_options(BinaryCursor, kwargs))
    event.listen(engine, "handle_error", _renew_where_stale)
    return engine


def create_async_engine(url: URL | str, **kwargs: Any) -> AsyncEngine:
    """Return the asynchronous twin of `create_engine`."""
    engine = sa_create_async_engine(parse_url(url), **_options(AsyncBinaryCursor, kwargs))
    event.listen(engine.sync_engine, "handle_error", _renew_where_stale)
    return engine


def _options(cursor: type[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    defaults = {"cursor_factory": cursor, "prepare_threshold": _PREPARE_AFTER}
    return {**kwargs, "connect_args": defaults | kwargs.get("connect_args", {})}


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
