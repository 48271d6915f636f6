"""Databases for tests: empty ones, and clones of a template, made ahead of the test that asks."""

import select
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn
from sqlalchemy import URL, PoolProxiedConnection, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern.quoting import quoted
from pgmodern.testing import claim


def create(server: URL, template: str | None = None, *, run: str | None = None) -> URL:
    """Create a database, empty or a clone of a template to which nothing is connected.

    With `run` its name says whose it is; a session of that run must hold `claim.hold_sql(run)`.
    """
    name = _new_name(run)
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
    """Empty databases, or clones of a template; the server makes the next one while a test works.

    One session sends each command and reads its result before it sends the next one. So the pool
    needs no thread, which a test that forks would inherit. Nothing may be connected to the
    template.

    With `copy_files` the server copies files. That takes a quarter of the time of a copy through
    the log. It makes two checkpoints, so ask for it only where fsync is off. With `run` the session
    claims the databases for that run.
    """

    def __init__(
        self,
        server: URL,
        template: str | None = None,
        *,
        copy_files: bool = False,
        run: str | None = None,
    ) -> None:
        self._server, self._template, self._run = server, template, run
        self._strategy = " STRATEGY file_copy" if copy_files else ""
        self._session = _Session(server, run)
        self._spare: str | None = None
        self._command: Literal["create", "drop"] | None = None  # the one under way, of `_name`
        self._name = ""
        self._names = set[str]()  # of databases that may be there

    def take(self) -> URL:
        """Return a database that is the caller's own, and begin the next one.

        Raises what the server answers to CREATE DATABASE, when it answers the same again.
        """
        error: psycopg.Error | None = None
        for _ in range(2):  # what was made ahead may have failed for what is over by now
            if self._spare is None:
                self._begin()
            error = self._finish() or error
            if self._spare is not None:
                name, self._spare = self._spare, None
                self._begin()
                return self._server.set(database=name)
        assert error is not None
        raise error

    def give_back(self, url: URL) -> None:
        """Drop a database, whoever is connected to it; does not wait for the server."""
        assert url.database is not None
        self._finish()
        self._send("drop", url.database)

    def close(self) -> None:
        """Drop the spare database, and what could not be dropped or was not given back."""
        try:
            self._finish()
            for name in list(self._names):
                self._send("drop", name)
                self._finish()
        finally:
            self._session.close()

    def _begin(self) -> None:
        self._finish()
        name = _new_name(self._run)
        self._send("create", name)
        self._spare = name

    def _send(self, command: Literal["create", "drop"], name: str) -> None:
        self._names.add(name)
        self._command, self._name = command, name
        if command == "create":
            self._session.send(_create(name, self._template) + self._strategy)
        else:
            self._session.send(_drop(name))

    def _finish(self) -> psycopg.Error | None:
        """Wait for the command under way; return what the server had against it."""
        error = self._session.wait()
        if self._command == "create" and error is not None:
            self._spare = None
        if self._command == "drop" and error is None:
            self._names.discard(self._name)
        self._command = None
        return error


class _Session:
    """A session that executes a command while its client does something else."""

    def __init__(self, server: URL, run: str | None) -> None:
        self._run = run
        self._engine = create_engine(server, poolclass=NullPool)
        self._connection: PoolProxiedConnection | None = None
        self._busy = False

    def send(self, command: str) -> None:
        """Send a command when the one before is done; does not wait for its result."""
        libpq = self._connected()
        libpq.send_query(command.encode())
        libpq.flush()
        self._busy = True

    def wait(self) -> psycopg.Error | None:
        """Wait for the command that was sent; return what the server answers, if it failed."""
        if not self._busy or self._connection is None:
            return None
        libpq = _libpq(self._connection)
        try:
            # Not in libpq itself, which lets no other thread run and heeds no signal.
            while libpq.is_busy():
                select.select([libpq.socket], [], [])
                libpq.consume_input()
        except psycopg.OperationalError as error:
            self._busy = False
            return error
        self._busy = False
        results = [*iter(libpq.get_result, None)]
        failed = [each for each in results if each.status == ExecStatus.FATAL_ERROR]
        return error_from_result(failed[0]) if failed else None

    def close(self) -> None:
        """Close the session."""
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> PGconn:
        if self._connection is not None and _is_lost(_libpq(self._connection)):
            self._connection.invalidate()
            self._connection = None
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            if self._run is not None:  # also when the server was restarted, and knows no lock
                _libpq(self._connection).exec_(claim.hold_sql(self._run).encode())
        return _libpq(self._connection)


def _libpq(connection: PoolProxiedConnection) -> PGconn:
    driver = connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver.pgconn


def _is_lost(libpq: PGconn) -> bool:
    """Tell whether the server has ended an idle session, which libpq learns when it reads."""
    with suppress(psycopg.OperationalError):
        libpq.consume_input()
    return libpq.status == ConnStatus.BAD


def _new_name(run: str | None) -> str:
    return f"pgmodern_{uuid.uuid4().hex}" if run is None else claim.new_name(run)


def _create(name: str, template: str | None) -> str:
    return f"CREATE DATABASE {quoted(name)}" + (f" TEMPLATE {quoted(template)}" if template else "")


def _drop(name: str) -> str:
    return f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)"
