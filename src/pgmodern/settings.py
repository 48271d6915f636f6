"""The only reader of the environment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from pgmodern.errors import SettingsError

DRIVERS = ("psycopg", "asyncpg")
_PORTS, _PORT_DIGITS = 65_536, 5
# What libpq calls otherwise, or has not; the rest of asyncpg's parameters are libpq's, too.
_ASYNCPG_S = ("ssl", "direct_tls", "command_timeout", "prepared_statement_cache_size")
_PARTS = ("HOST", "PORT", "USER", "PASSWORD", "DB")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database and the embedder are; `url` is None for the embedded server.

    `url` is for psycopg. `driver` is the one that the URL names: asyncpg, or psycopg.
    """

    url: URL | None
    home: Path
    embedding_url: str | None = None
    embedding_model: str | None = None
    embedding_key: str | None = field(default=None, repr=False)
    driver: str = DRIVERS[0]


def read(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the process's environment, then the directory's `.env`, for whatever names the database.

    `DATABASE_URL` goes before `POSTGRES_HOST/PORT/USER/PASSWORD/DB`, and the environment goes
    before `.env`, so that a deploy pipeline always wins over a developer's file.

    Raises SettingsError when what is named is not a PostgreSQL URL or port.
    """
    environ = os.environ if environ is None else environ
    directory = Path.cwd() if directory is None else directory
    dotenv = _dotenv(directory / ".env")
    either = {**dotenv, **environ}
    named = _url(environ) or _url(dotenv)
    return Settings(
        url=None if named is None else parse_url(named),
        driver=DRIVERS[0] if named is None else named.get_driver_name(),
        home=_home(either.get("PGMODERN_HOME"), directory),
        embedding_url=either.get("PGMODERN_EMBEDDING_URL") or None,
        embedding_model=either.get("PGMODERN_EMBEDDING_MODEL") or None,
        embedding_key=either.get("PGMODERN_EMBEDDING_KEY") or None,
    )


def for_tests(environ: Mapping[str, str] | None = None) -> tuple[URL | None, str]:
    """Return the server that `DATABASE_URL` names for tests, or None, and why.

    It is taken where `CI` is set, as a service container is there for the tests, and where it leads
    to this machine. Any other may be a server that people work with, so tests are to be told of it
    by name; and a `.env` is the application's.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("DATABASE_URL")
    if not named:
        return None, ""
    try:
        url = parse_url(named)
    except SettingsError:
        return None, "DATABASE_URL is not PostgreSQL's"
    if environ.get("CI", "").lower() not in {"", "0", "false"}:
        return url, "DATABASE_URL, as CI is set"
    if all(_is_here(host) for host in _hosts(url, environ.get("PGHOST", ""))):
        return url, "DATABASE_URL, as it leads to this machine"
    return None, "DATABASE_URL leads to another machine; --postgres=URL takes it"


def _hosts(url: URL, default: str) -> list[str]:
    """Return the hosts to which libpq connects; one of a service is in a file of its own."""
    if "service" in url.query:
        return [f"service {url.query['service']}"]
    given = [url.host or "", *url.normalized_query.get("host", ())]
    addresses = list(url.normalized_query.get("hostaddr", ()))
    hosts = ",".join([each for each in given if each] or [default])
    return [*hosts.split(","), *addresses]


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine: a socket's folder, or a loopback address."""
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _dotenv(path: Path) -> dict[str, str]:
    try:
        found = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None
    return {name: value for name, value in found.items() if value is not None}


def _home(named: str | None, directory: Path) -> Path:
    try:
        return Path(named or directory / ".pgmodern").expanduser().absolute()
    except RuntimeError:
        raise SettingsError(
            f"PGMODERN_HOME is {named!r}, the home of nobody.", "Name a folder."
        ) from None


def _url(source: Mapping[str, str]) -> URL | None:
    if named := source.get("DATABASE_URL"):
        return parse_url(named, DRIVERS)
    if any(source.get(f"POSTGRES_{part}") for part in _PARTS):
        return _from_parts(*(source.get(f"POSTGRES_{part}") or None for part in _PARTS))
    return None


def parse_url(url: str | URL, drivers: Sequence[str] = DRIVERS[:1]) -> URL:
    """Turn any `postgres://` or `postgresql[+driver]://` URL into one for one of the drivers.

    That is the one that the URL names, or the first of them, psycopg 3; parameters that only
    asyncpg knows become those of libpq. User and password move from the parameters, where libpq
    takes them too, to their place, where they are not shown.

    Raises SettingsError, without the URL's text (it may hold a password), when it is no such URL.
    """
    cure = "Write it as postgresql://user:password@host:5432/database, its parts percent-encoded."
    try:
        parsed = make_url(url.strip() if isinstance(url, str) else url)
    except (ArgumentError, ValueError):
        raise SettingsError("The database's URL is no URL.", cure) from None
    if parsed.drivername.partition("+")[0] not in {"postgresql", "postgres"}:
        raise SettingsError("The database's URL is not one of PostgreSQL.", cure)
    port = 5432 if parsed.port is None else parsed.port
    if "@" in f"{parsed.host}{parsed.database}" or not 0 < port < _PORTS:
        raise SettingsError("The database's URL has an impossible host, port or database.", cure)
    named = parsed.drivername.partition("+")[2]
    driver = named if named in drivers else drivers[0]
    parsed = parsed.set(drivername=f"postgresql+{driver}")
    if named == "asyncpg" and driver != named:
        parsed = _with_parameters_of_libpq(parsed)
    return _with_visible_secrets_moved(parsed)


def is_through_pgbouncer(url: URL) -> bool:
    """Tell whether the URL says `?pgbouncer=true`: that it leads to one in transaction mode.

    Raises SettingsError when it says something else than true or false.
    """
    said = url.query.get("pgbouncer", "false")
    if said not in {"true", "false"}:
        raise SettingsError(
            "The database's URL says pgbouncer=, and neither true nor false.",
            "Write ?pgbouncer=true where PgBouncer's transaction mode is in between.",
        )
    return said == "true"


def without_pgbouncer(url: URL) -> URL:
    """Return the URL as libpq takes it, which knows no `pgbouncer`."""
    return url.difference_update_query(["pgbouncer"])


def _with_parameters_of_libpq(url: URL) -> URL:
    """Return the URL of asyncpg as libpq takes it (asyncpg's manual, connect)."""
    libpq_s: dict[str, str | Sequence[str]] = {}
    if ssl := url.query.get("ssl"):
        libpq_s["sslmode"] = ssl
    if "direct_tls" in url.query:
        libpq_s["sslnegotiation"] = "direct"
    return url.difference_update_query(_ASYNCPG_S).update_query_dict(libpq_s)


def _with_visible_secrets_moved(url: URL) -> URL:
    user, password = url.query.get("user"), url.query.get("password")
    if isinstance(user, str):
        url = url.set(username=url.username or user)
    if isinstance(password, str):
        url = url.set(password=url.password or password)
    return url.difference_update_query(["user", "password"])


def _from_parts(
    host: str | None, port: str | None, user: str | None, password: str | None, database: str | None
) -> URL:
    digits = port is None or (port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS)
    if not digits or not 0 < int(port or 5432) < _PORTS:
        raise SettingsError("POSTGRES_PORT is no port.", "Set it to a number from 1 to 65535.")
    return URL.create(
        f"postgresql+{DRIVERS[0]}",
        username=user or "postgres",
        password=password,
        host=host or "localhost",
        port=int(port) if port else 5432,
        database=database or user or "postgres",
    )
