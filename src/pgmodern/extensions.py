"""PostgreSQL extensions: which ones are needed, from which version, and whether they can be had."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgmodern.errors import ExtensionError


@dataclass(frozen=True, slots=True, order=True)
class Extension:
    """An extension and the oldest version that will do, with the reason for that version.

    `probe` is an expression that fails unless the extension is usable from this search_path.
    """

    name: str
    minimum: str = "0"
    reason: str = ""
    probe: str = "true"


VECTOR = Extension(
    "vector",
    "0.7.0",
    "HNSW indexes came with 0.5.0, half-precision and sparse vectors with 0.7.0",
    "'[1,2]'::vector <=> '[2,1]'::vector",
)
PG_TRGM = Extension(
    "pg_trgm", "1.6", "fast GIN scans of similarity came with 1.6", "similarity('a', 'b')"
)
UNACCENT = Extension("unaccent", "1.1", "its rules of today came with 1.1", "unaccent('é')")


def version_key(version: str) -> tuple[int, ...]:
    """Order versions by their numbers: '0.10.1' comes after '0.8.0', which is '0.8'."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def installed(connection: Connection) -> dict[str, str]:
    """Return the version of each extension that the database has."""
    rows = connection.execute(text("SELECT extname, extversion FROM pg_catalog.pg_extension"))
    return {str(name): str(version) for name, version in rows}


def available(connection: Connection) -> dict[str, str]:
    """Return the version that CREATE EXTENSION would install, for each one the server has."""
    rows = connection.execute(
        text("SELECT name, default_version FROM pg_catalog.pg_available_extensions")
    )
    return {str(name): str(version) for name, version in rows if version is not None}


def refusal(extension: Extension, have: str | None, offered: str | None) -> ExtensionError | None:
    """Decide whether an extension will do: `have` is installed, `offered` could be."""
    name, minimum = extension.name, extension.minimum
    if have is None and offered is None:
        return ExtensionError(
            f"The server does not have the extension {name!r}.",
            f"Install its package on the server, or take an image that has it: {_HOW[name]}."
            if name in _HOW
            else "Install its package on the server.",
        )
    version = have if have is not None else offered
    if version is None or version_key(version) >= version_key(minimum):
        return None
    cause = (
        f"The extension {name!r} is {version}; {minimum} or later is needed: {extension.reason}."
    )
    if offered is not None and version_key(offered) >= version_key(minimum):
        return ExtensionError(cause, f'Run: ALTER EXTENSION "{name}" UPDATE;')
    return ExtensionError(cause, f"Upgrade {name} on the server, then ALTER EXTENSION its copy.")


_HOW = {
    "vector": "postgresql-NN-pgvector of the PostgreSQL packages, or the image pgvector/pgvector",
    "pg_trgm": "postgresql-contrib",
    "unaccent": "postgresql-contrib",
}


def preflight(
    connection: Connection, extensions: Iterable[Extension], *, updating: bool = False
) -> None:
    """Prove that each extension is, or can be, created here, and leave nothing behind.

    One that is too old will do when they are `updating` and the server offers what is new enough.
    Creating it for trial and rolling back is the only test that is true everywhere: managed
    services let roles create extensions that the catalogue reserves for superusers.
    Raises ExtensionError for the first that cannot be had.
    """
    have, offered = installed(connection), available(connection)
    for extension in sorted(set(extensions)):
        name = extension.name
        there, offer = have.get(name), offered.get(name)
        error = refusal(extension, there, offer)
        if error and not (updating and offer and refusal(extension, None, offer) is None):
            raise error
        if name not in have:
            _try_to_create(connection, extension.name)


def _try_to_create(connection: Connection, name: str) -> None:
    trial = connection.begin_nested()
    try:
        connection.execute(text(create_sql(name)))
    except DBAPIError as error:
        if refused := denied(name, error):
            raise refused from error
        raise
    finally:
        trial.rollback()


def create_sql(name: str) -> str:
    """Return the statement that creates an extension; locks nothing that queries use."""
    return f'CREATE EXTENSION IF NOT EXISTS "{name}"'


def update_sql(name: str) -> str:
    """Return the statement that brings an extension to the version that the server offers."""
    return f'ALTER EXTENSION "{name}" UPDATE'


def denied(name: str, error: DBAPIError, *, updating: bool = False) -> ExtensionError | None:
    """Translate the server's refusal to let this role create or update it; None for others."""
    if not isinstance(error.orig, InsufficientPrivilege):
        return None
    verb, statement = ("update", update_sql(name)) if updating else ("create", create_sql(name))
    return ExtensionError(
        f"This role may not {verb} the extension {name!r}.",
        f"Have an administrator run it once in this database: {statement};",
    )
