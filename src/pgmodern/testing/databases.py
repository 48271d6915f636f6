"""Databases for tests: empty ones, and clones of a template, made ahead of the test that asks."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from sqlalchemy import URL, PoolProxiedConnection, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern.indexes.catalogue import quoted


def create(server: URL, template: str | None = None) -> URL:
    """Create a database, empty or a clone of a template to which nothing is connected."""
    name = _new_name()
    _execute(server, _create(name, template))
    return server.set(database=name)


def drop(server: URL, name: str) -> None:
    """Drop a database, whoever is connected to it."""
    _execute(server, _drop(name))


@contextmanager
def database(server: URL, template: str | None = None) -> Iterator[URL]:
    """Create a database, empty or a clone, and drop it in the end."""
    url = create(server, template)
    assert url.database is not None
    try:
        yield url
    finally:
        drop(server, url.database)


def _execute(server: URL, command: str) -> None:
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(command))


class ClonePool:
    """Empty databases, or clones of a template, the next of which is made ahead.

    The server makes it while the test works on its own, and drops what is given back: a command is
    sent, and its result is read before the next one is sent. That needs no thread, which a test
    that forks would inherit. Nothing may be connected to the template.

    With `copy_files` a clone is a copy of files. That takes a quarter of the time that a copy
    through the log takes, but for two checkpoints: it is for a server that waits for no disk.
    """

    def __init__(
        self, server: URL, template: str | None = None, *, copy_files: bool = False
    ) -> None:
        self._server, self._template = server, template
        self._strategy = " STRATEGY file_copy" if copy_files else ""
        self._creating, self._dropping = _Session(server), _Session(server)
        self._spare: str | None = None

    def take(self) -> URL:
        """Return a database that is the caller's own; the next one is begun."""
        name = self._spare or self._begin()
        self._spare = None
        self._creating.wait()
        self._spare = self._begin()
        return self._server.set(database=name)

    def give_back(self, url: URL) -> None:
        """Drop a database, whoever is connected to it; does not wait for the server."""
        assert url.database is not None
        self._dropping.send(_drop(url.database))

    def close(self) -> None:
        """Drop the spare database, and wait for the others to be dropped."""
        if self._spare is not None:
            self._creating.wait()
            self._dropping.send(_drop(self._spare))
            self._spare = None
        self._dropping.wait()
        self._creating.close()
        self._dropping.close()

    def _begin(self) -> str:
        name = _new_name()
        self._creating.send(_create(name, self._template) + self._strategy)
        return name


class _Session:
    """A session that executes a command while its client does something else."""

    def __init__(self, server: URL) -> None:
        self._engine = create_engine(server, poolclass=NullPool)
        self._connection: PoolProxiedConnection | None = None
        self._busy = False

    def send(self, command: str) -> None:
        """Send a command when the one before is done; do not wait for its result."""
        self.wait()
        if self._connection is None:
            self._connection = self._engine.raw_connection()
        self._libpq.send_query(command.encode())
        self._libpq.flush()
        self._busy = True

    def wait(self) -> None:
        """Wait for the command that was sent; raises what the server answers."""
        if not self._busy:
            return
        self._busy = False
        for result in [*iter(self._libpq.get_result, None)]:
            if result.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(result)

    def close(self) -> None:
        """Close the session."""
        if self._connection is not None:
            self._connection.close()

    @property
    def _libpq(self) -> PGconn:
        assert self._connection is not None
        driver = self._connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver.pgconn


def _new_name() -> str:
    return f"pgmodern_{uuid.uuid4().hex}"


def _create(name: str, template: str | None) -> str:
    return f"CREATE DATABASE {quoted(name)}" + (f" TEMPLATE {quoted(template)}" if template else "")


def _drop(name: str) -> str:
    return f"DROP DATABASE {quoted(name)} WITH (FORCE)"
