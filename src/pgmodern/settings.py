"""The only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from pgmodern.errors import SettingsError

DRIVER = "postgresql+psycopg"
_PARTS = ("HOST", "PORT", "USER", "PASSWORD", "DB")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database and the embedder are; `url` is None for the embedded server."""

    url: URL | None
    home: Path
    embedding_url: str | None = None
    embedding_model: str | None = None
    embedding_key: str | None = field(default=None, repr=False)


def read(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the process's environment, then the directory's `.env`, for whatever names the database.

    `DATABASE_URL` goes before `POSTGRES_HOST/PORT/USER/PASSWORD/DB`, and the environment goes
    before `.env`, so that a deploy pipeline always wins over a developer's file.

    Raises SettingsError when what is named is not a PostgreSQL URL or port.
    """
    environ = os.environ if environ is None else environ
    directory = Path.cwd() if directory is None else directory
    dotenv = {k: v for k, v in dotenv_values(directory / ".env").items() if v is not None}
    either = {**dotenv, **environ}
    home = Path(either.get("PGMODERN_HOME") or directory / ".pgmodern")
    return Settings(
        url=_url(environ) or _url(dotenv),
        home=home.expanduser().absolute(),
        embedding_url=either.get("PGMODERN_EMBEDDING_URL") or None,
        embedding_model=either.get("PGMODERN_EMBEDDING_MODEL") or None,
        embedding_key=either.get("PGMODERN_EMBEDDING_KEY") or None,
    )


def _url(source: Mapping[str, str]) -> URL | None:
    if named := source.get("DATABASE_URL"):
        return parse_url(named)
    if any(source.get(f"POSTGRES_{part}") for part in _PARTS):
        return _from_parts(*(source.get(f"POSTGRES_{part}") or None for part in _PARTS))
    return None


def parse_url(text: str) -> URL:
    """Turn any `postgres://` or `postgresql[+driver]://` URL into one for the psycopg 3 driver.

    Raises SettingsError, without the text (it may hold a password), when it is no such URL.
    """
    cure = "Write it as postgresql://user:password@host:5432/database."
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise SettingsError("DATABASE_URL is not a URL.", cure) from None
    if url.drivername.partition("+")[0] not in {"postgresql", "postgres"}:
        raise SettingsError(f"DATABASE_URL names {url.drivername!r}, not PostgreSQL.", cure)
    return url.set(drivername=DRIVER)


def _from_parts(
    host: str | None, port: str | None, user: str | None, password: str | None, database: str | None
) -> URL:
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(f"POSTGRES_PORT is {port!r}.", "Set it to a number from 1 to 65535.")
    return URL.create(
        DRIVER,
        username=user or "postgres",
        password=password,
        host=host or "localhost",
        port=int(port) if port else 5432,
        database=database or user or "postgres",
    )
