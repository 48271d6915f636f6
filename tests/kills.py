"""Clients that die just before a statement of theirs reaches the server.

Between client and server stands a proxy that reads the frontend protocol. It sees every statement
whoever sends it: SQLAlchemy, a cursor, COPY, `transaction()` with its BEGIN and COMMIT. What counts
inside the client would miss what it does not know of.

The client is a fork of the test's process: it starts in milliseconds, may run any function, and its
SIGKILL is a real one.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import time
import warnings
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Literal

import psycopg
import pytest
from sqlalchemy import URL

How = Literal["SIGKILL", "terminate"]
Run = Callable[[URL], object]

# Of the frontend's messages: those that end a statement (Query, Sync, CopyDone), and those that
# are only a part of one (Parse, Bind, Describe, Execute, Close).
_ENDS, _PARTS = b"QSc", b"PBDEC"
NEVER = 1 << 30  # a fatal statement that no client comes to
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a client: whether it was struck, and how it ended (-9 is SIGKILL)."""

    struck: bool
    exit_code: int | None
    statements: int


@dataclass(slots=True)
class Proxy:
    """Relays a client's sessions; strikes before the fatal statement of the first one.

    `strike` is told the process id of that session's server process.
    """

    host: str
    port: int
    fatal: int
    strike: Callable[[int], None]
    spares: bool
    statements: int = 0
    struck: bool = False
    pids: list[int] = field(default_factory=list)
    sessions: int = 0

    async def serve(self, listener: socket.socket, client: BaseProcess) -> None:
        """Relay until the client has ended and its sessions are closed."""
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(client.sentinel, ended.set)
        server = await asyncio.start_server(self._session, sock=listener)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(client.sentinel)
        server.close()
        ours = asyncio.current_task()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not ours))

    async def _session(self, client: StreamReader, to_client: StreamWriter) -> None:
        self.sessions += 1
        counted = self.sessions == 1
        to_client.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.host.startswith("/"):
            path = f"{self.host}/.s.PGSQL.{self.port}"
            server, to_server = await asyncio.open_unix_connection(path)
        else:
            server, to_server = await asyncio.open_connection(self.host, self.port)
        answers = asyncio.create_task(self._answers(server, to_client))
        try:
            await self._statements(client, to_server, counted=counted)
        except (IncompleteReadError, ConnectionError):
            pass  # the client is gone, with or without a good-bye
        finally:
            to_server.close()
            await answers
            to_client.close()

    async def _statements(
        self, client: StreamReader, to_server: StreamWriter, *, counted: bool
    ) -> None:
        start = await client.readexactly(4)
        to_server.write(start + await client.readexactly(int.from_bytes(start) - 4))
        held = b""
        while True:
            kind, message = await _message(client)
            held += message
            if counted and kind in _ENDS:
                if self.statements == self.fatal:
                    self.struck = True
                    self.strike(self.pids[0])
                    if not self.spares:
                        return
                self.statements += 1
            if kind not in _PARTS:
                to_server.write(held)
                held = b""

    async def _answers(self, server: StreamReader, to_client: StreamWriter) -> None:
        try:
            while True:
                kind, message = await _message(server)
                if kind == b"K":  # BackendKeyData
                    self.pids.append(int.from_bytes(message[5:9]))
                to_client.write(message)
        except (IncompleteReadError, ConnectionError):
            to_client.close()


async def _message(stream: StreamReader) -> tuple[bytes, bytes]:
    head = await stream.readexactly(5)
    return head[:1], head + await stream.readexactly(int.from_bytes(head[1:]) - 4)


def libpq(url: URL) -> str:
    """Return the URL as libpq and its tools read it."""
    written = url.set(drivername="postgresql").render_as_string(hide_password=False)
    rest, mark, query = written.partition("?")
    return rest + mark + query.replace("+", "%20")  # libpq knows no + for a blank


def run_doomed(admin: psycopg.Connection, url: URL, run: Run, fatal: int, how: How) -> Outcome:
    """Run in a client of its own, struck before statement number `fatal` of its first session.

    By SIGKILL of the client, or by `pg_terminate_backend` of its session. `admin` is a connection
    to the same server. Returns when the server has seen the end of the client's sessions.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = _FORK.Process(target=run, args=(through(url, listener.getsockname()[1]),))
        with warnings.catch_warnings():
            # Python warns of any thread; those of numpy's libraries are made for a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            client.start()

        def strike(backend: int) -> None:
            if how == "SIGKILL":
                os.kill(client.pid or 0, signal.SIGKILL)
            else:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])

        info = admin.info
        proxy = Proxy(info.host, info.port, fatal, strike, spares=how == "terminate")
        asyncio.run(proxy.serve(listener, client))
    client.join()
    _wait_until_gone(admin, proxy.pids)
    return Outcome(proxy.struck, client.exitcode, proxy.statements)


def through(url: URL, port: int) -> URL:
    """Return the URL of the same database behind the proxy, in plain text."""
    plain = url.difference_update_query(["host", "port"]).set(host="127.0.0.1", port=port)
    return plain.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})


def _wait_until_gone(admin: psycopg.Connection, pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    there = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)"
    while admin.execute(there, [pids]).fetchone() != (0,):
        if time.monotonic() > deadline:
            pytest.fail(f"the server processes {pids} outlive their client")
        time.sleep(0.002)


@dataclass(slots=True)
class Survival:
    """How many of the strikes at an operation were survived; a line of the summary."""

    operation: str
    statements: dict[How, int] = field(default_factory=lambda: {"SIGKILL": 0, "terminate": 0})
    survived: dict[How, int] = field(default_factory=lambda: {"SIGKILL": 0, "terminate": 0})

    def __str__(self) -> str:
        strikes = [
            f"{self.survived[how]:>4} of {total:<4}" if total else ""
            for how, total in self.statements.items()
        ]
        return f"{self.operation:<48}  {strikes[0]:<14}{strikes[1]}".rstrip()


SURVIVALS = pytest.StashKey[dict[str, Survival]]()


def thinning(config: pytest.Config) -> int:
    """Return how many times fewer kills are enough: in a container they are the second proof."""
    return 4 if config.getoption("--postgres") == "container" else 1
