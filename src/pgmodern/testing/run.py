"""What a run of pytest has: a server and a template, which pytest-xdist's workers share."""

import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

from sqlalchemy import URL

from pgmodern.errors import DatabaseUnavailable, PgmodernError
from pgmodern.settings import parse_url
from pgmodern.testing.databases import create, drop

Start = Callable[[], AbstractContextManager[URL]]
Migrate = Callable[[URL], None]
_GONE = (EOFError, OSError, AuthenticationError)


class Run:
    """A server and a template, each made when it is first asked for."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._stack = ExitStack()
        self._server: URL | None = None
        self.kept: str | None = None  # the template, once it is made

    def server(self) -> URL:
        """Return the URL of the server's own database."""
        if self._server is None:
            self._server = self._stack.enter_context(self._start())
        return self._server

    def template(self, migrate: Migrate) -> str:
        """Return the name of a database that `migrate` has brought to head."""
        return self.kept or self.keep(migrated(self.server(), migrate))

    def keep(self, template: str) -> str:
        """Take a template over; it is dropped when the run ends."""
        self.kept = template
        self._stack.callback(drop, self.server(), template)
        return template

    def close(self) -> None:
        """Drop the template, and stop a server that was started."""
        self._stack.close()


class SharedRun:
    """A run that workers ask for its server and its template, one after the other.

    The server belongs to the process that outlives all workers. The template is made by the worker
    that asks first, as a user's env.py expects to run among the tests; the others wait for it.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.key = secrets.token_bytes(16)
        self._listener = Listener(authkey=self.key)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where workers ask."""
        return str(self._listener.address)

    def close(self) -> None:
        """End the run; nobody is answered any more."""
        with Client(self.address, authkey=self.key) as connection:
            connection.send("close")
        self._thread.join()
        self._listener.close()
        self._run.close()

    def _serve(self) -> None:
        asked = None
        while asked != "close":
            # A worker that ended, or whose migration failed, leaves it to the next one.
            with suppress(*_GONE), self._listener.accept() as connection:
                asked = connection.recv()
                if asked == "server":
                    connection.send(self._server())
                elif asked == "template":
                    connection.send(self._run.kept)
                    if self._run.kept is None:
                        self._run.keep(connection.recv())

    def _server(self) -> str | Exception:
        try:
            return self._run.server().render_as_string(hide_password=False)
        except PgmodernError as error:
            return error
        except Exception as error:  # noqa: BLE001  (each worker raises it)
            return DatabaseUnavailable(f"The server did not start: {error}", "Mend what it says.")


class WorkerRun:
    """A worker's part of a run that is shared."""

    def __init__(self, address: str, key: bytes) -> None:
        self._address, self._key = address, key

    def server(self) -> URL:
        """Return the URL of the server's own database."""
        with Client(self._address, authkey=self._key) as connection:
            connection.send("server")
            answer = connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return parse_url(answer)

    def template(self, migrate: Migrate) -> str:
        """Return the name of a database that `migrate`, here or elsewhere, has brought to head."""
        server = self.server()
        with Client(self._address, authkey=self._key) as connection:
            connection.send("template")
            name: str | None = connection.recv()
            if name is None:
                name = migrated(server, migrate)
                connection.send(name)
        return name

    def close(self) -> None:
        """Leave the run to the others."""


def migrated(server: URL, migrate: Migrate) -> str:
    """Create a database and have it migrated; return its name. It is dropped if that fails."""
    url = create(server)
    assert url.database is not None
    try:
        migrate(url)
    except BaseException:
        drop(server, url.database)
        raise
    return url.database
