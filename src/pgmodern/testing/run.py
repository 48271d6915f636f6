"""What a run of pytest has: a server and a template, which pytest-xdist's workers share."""

import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener

from sqlalchemy import URL

from pgmodern.errors import DatabaseUnavailable, PgmodernError
from pgmodern.testing.databases import create, drop
from pgmodern.testing.server import Server

Start = Callable[[], AbstractContextManager[Server]]
Migrate = Callable[[URL], None]
Address = tuple[str, int]
# A worker that ends, or whose migration fails, or who is no worker, leaves it to the next one.
_ABANDONED = (EOFError, OSError, AuthenticationError)


class Run:
    """A server and a template, each made when it is first asked for."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._stack = ExitStack()
        self._server: Server | None = None
        self.template_name: str | None = None  # None before it is made

    def server(self) -> Server:
        """Return the server; start it when it is first asked for."""
        if self._server is None:
            self._server = self._stack.enter_context(self._start())
        return self._server

    def template(self, migrate: Migrate) -> str:
        """Return the name of a database that `migrate` has brought to head."""
        return self.template_name or self.keep(migrated(self.server(), migrate))

    def keep(self, template: str) -> str:
        """Take a template over; it is dropped when the run ends."""
        self.template_name = template
        self._stack.callback(drop, self.server().url, template)
        return template

    def close(self) -> None:
        """Drop the template, and stop a server that was started."""
        self._stack.close()


class SharedRun:
    """A run that workers on this machine ask for its server and its template.

    The server belongs to the process that outlives all workers. The worker that asks first makes
    the template, as a user's env.py expects to run among the tests; the others wait for it.
    """

    def __init__(self, run: Callable[[], Run]) -> None:
        self._make_run = run
        self._made_run: Run | None = None
        self.key = secrets.token_bytes(16)
        self._listener = Listener(("127.0.0.1", 0), backlog=128, authkey=self.key)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> Address:
        """Where workers ask: host and port."""
        host, port = self._listener.address
        return str(host), int(port)

    def close(self) -> None:
        """End the run; no worker is answered any more."""
        try:
            with Client(self.address, authkey=self.key) as connection:
                connection.send("close")
            self._thread.join()
            self._listener.close()
        finally:
            if self._made_run is not None:
                self._made_run.close()

    @property
    def _run(self) -> Run:
        """The run; made when a worker first asks, as it costs an import or two."""
        if self._made_run is None:
            self._made_run = self._make_run()
        return self._made_run

    def _serve(self) -> None:
        asked = None
        while asked != "close":
            with suppress(*_ABANDONED), self._listener.accept() as connection:
                asked = connection.recv()
                self._answer(asked, connection)

    def _answer(self, asked: str, connection: Connection) -> None:
        if asked == "server":
            connection.send(self._server())
        elif asked == "template":
            connection.send(self._run.template_name)
            if self._run.template_name is None:
                self._run.keep(connection.recv())

    def _server(self) -> Server | Exception:
        try:
            return self._run.server()
        except PgmodernError as error:
            return error
        except BaseException as error:  # noqa: BLE001  (each worker raises it)
            return DatabaseUnavailable(
                f"The server did not start: {error or type(error).__name__}", "Mend what it says."
            )


class WorkerRun:
    """A worker's part of a run that is shared."""

    def __init__(self, address: Address, key: bytes) -> None:
        self._address, self._key = address, key
        self._stack = ExitStack()
        self._server: Server | None = None
        self._template: str | None = None

    def server(self) -> Server:
        """Return the server of the run."""
        if self._server is None:
            with Client(self._address, authkey=self._key) as connection:
                connection.send("server")
                answer: Server | Exception = connection.recv()
            if isinstance(answer, Exception):
                raise answer
            self._server = answer
        return self._server

    def template(self, migrate: Migrate) -> str:
        """Return the name of a clone of a database that `migrate` has brought to head.

        It is the worker's own, as a user's fixture may fill it. It is dropped with the worker.
        """
        if self._template is None:
            server = self.server()
            shared = self._shared_template(server, migrate)
            self._template = create(server.url, shared, run=server.run).database
            assert self._template is not None
            self._stack.callback(drop, server.url, self._template)
        return self._template

    def close(self) -> None:
        """Drop the worker's template, and leave the run to the others."""
        self._stack.close()

    def _shared_template(self, server: Server, migrate: Migrate) -> str:
        with Client(self._address, authkey=self._key) as connection:
            connection.send("template")
            name: str | None = connection.recv()
            if name is None:
                name = migrated(server, migrate)
                connection.send(name)
        return name


def migrated(server: Server, migrate: Migrate) -> str:
    """Create a database and have it migrated; return its name. It is dropped if that fails."""
    url = create(server.url, run=server.run)
    assert url.database is not None
    try:
        migrate(url)
    except BaseException:
        drop(server.url, url.database)
        raise
    return url.database
