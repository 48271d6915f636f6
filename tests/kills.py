"""Clients that die just before a statement of theirs reaches the server.

Between client and server stands a proxy that reads the frontend protocol. It sees every statement
whoever sends it: SQLAlchemy, a cursor, COPY, `transaction()` with its BEGIN and COMMIT. What counts
inside the client would miss what it does not know of.

The client is a fork of the test's process: it starts in milliseconds, may run any function, and its
SIGKILL is a real one. Once it has connected it says so (`operation_begins`): statements count from
there on, as what SQLAlchemy asks of a server that it meets is no part of an operation.
"""

import asyncio
import mmap
import multiprocessing
import os
import random
import signal
import socket
import warnings
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Literal

import psycopg
import pytest
from sqlalchemy import URL

from tests.waiting import until_found

How = Literal["SIGKILL", "terminate"]
Run = Callable[[URL], object]

# Of the frontend's messages: those that end a statement (Query, Sync, CopyDone), and those that
# are only a part of one (Parse, Bind, Describe, Execute, Close).
_ENDS, _PARTS = b"QSc", b"PBDEC"
NEVER = 1 << 30  # a fatal statement that no client comes to
_FORK = multiprocessing.get_context("fork")
_BEGUN = mmap.mmap(-1, 1)  # shared with the forks


def operation_begins() -> None:
    """Count the statements from here on, in the session that sends the next one.

    The client waits for each answer, so the proxy has seen every earlier statement by now.
    """
    _BEGUN[0] = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a client: whether it was struck, and how it ended (-9 is SIGKILL)."""

    struck: bool
    exit_code: int | None
    statements: int


@dataclass(slots=True)
class Proxy:
    """Relays a client's sessions; strikes before the fatal statement of the one that counts.

    That is the first that sends a statement when the operation has begun. `strike` is told the
    process id of its server process.
    """

    host: str
    port: int
    fatal: int
    strike: Callable[[int], None]
    spares: bool
    statements: int = 0
    struck: bool = False
    pids: list[int] = field(default_factory=list)
    counted: StreamReader | None = None

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
        to_client.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.host.startswith("/"):
            path = f"{self.host}/.s.PGSQL.{self.port}"
            server, to_server = await asyncio.open_unix_connection(path)
        else:
            server, to_server = await asyncio.open_connection(self.host, self.port)
        pid = asyncio.get_running_loop().create_future()
        answers = asyncio.create_task(self._answers(server, to_client, pid))
        try:
            await self._statements(client, to_server, pid)
        except (IncompleteReadError, ConnectionError):
            pass  # the client is gone, with or without a good-bye
        finally:
            to_server.close()
            await answers
            to_client.close()

    async def _statements(
        self, client: StreamReader, to_server: StreamWriter, pid: asyncio.Future[int]
    ) -> None:
        start = await client.readexactly(4)
        to_server.write(start + await client.readexactly(int.from_bytes(start) - 4))
        held = b""
        while True:
            kind, message = await _message(client)
            held += message
            if kind in _ENDS and self._counts(client):
                if self.statements == self.fatal:
                    self.struck = True
                    self.strike(await pid)
                    if not self.spares:
                        return
                self.statements += 1
            if kind not in _PARTS:
                to_server.write(held)
                held = b""

    def _counts(self, session: StreamReader) -> bool:
        if self.counted is None and _BEGUN[0]:
            self.counted = session
        return self.counted is session

    async def _answers(
        self, server: StreamReader, to_client: StreamWriter, pid: asyncio.Future[int]
    ) -> None:
        try:
            while True:
                kind, message = await _message(server)
                if kind == b"K":  # BackendKeyData
                    pid.set_result(int.from_bytes(message[5:9]))
                    self.pids.append(pid.result())
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
    """Run in a client of its own, struck before statement number `fatal` of the operation.

    By SIGKILL of the client, or by `pg_terminate_backend` of its session. `admin` is a connection
    to the same server. Returns when the server has seen the end of the client's sessions.
    """
    _BEGUN[0] = 0
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
    gone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY (%s))"
    until_found(admin, gone, pids, seconds=10)


@dataclass(slots=True)
class Survival:
    """How many kills of one kind an operation survived."""

    operation: str
    how: How
    kills: int = 0
    survived: int = 0

    def __str__(self) -> str:
        """Return it as a property of the test, which the summary reads."""
        return f"{self.operation}: {self.how}: {self.survived} of {self.kills}"


SURVIVED = "survived"  # the property's name
SEED = pytest.StashKey[int]()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which statements of an operation it is killed before: one in a few, drawn by the seed.

    `--every-statement` asks for all, of a whole upgrade for four times as many: its revisions are
    killed before all of theirs. Else a proof terminates the session half as often as it sends
    SIGKILL. In a container, which proves all for the second time, it does both a quarter as often.
    """

    seed: int
    every_statement: bool
    second_proof: bool

    @classmethod
    def of(cls, config: pytest.Config) -> "Selection":
        """Return what the options of this run ask for."""
        every = bool(config.getoption("--every-statement"))
        return cls(config.stash[SEED], every, config.getoption("--postgres") == "container")

    def stride(self, how: How, stride: int = 1) -> int:
        """Return one in how many statements is fatal; `stride` is that of a long operation."""
        if self.every_statement:
            return 1
        return stride * (2 if how == "terminate" else 1) * (4 if self.second_proof else 1)

    def parts(self, parts: int) -> int:
        """Return from how many equal parts of a run one statement each is to be fatal."""
        if self.every_statement:
            return parts * 4
        return max(1, parts // (4 if self.second_proof else 1))

    def steps(self, count: int, *what: str) -> list[int]:
        """Return which steps of a long way are to be killed, all or one, by their numbers."""
        return list(range(count)) if self.every_statement else [self.chance(*what).randrange(count)]

    def chance(self, *what: str) -> random.Random:
        """Return chance that draws the same for the same seed, whichever tests run."""
        return random.Random(":".join([str(self.seed), *what]))
