"""What becomes of 500 client connections that share 20 sessions through PgBouncer."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import URL, Connection, Engine, TextClause, text
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as sa_create_async_engine
from sqlalchemy.pool import NullPool

from benchmarks import pgbouncer
from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from pgmodern import create_async_engine, create_engine

CLIENTS, SERVERS, SECONDS = 500, 20, 20.0
_SAMPLE_SECONDS = 0.05
SCHEMA = "CREATE TABLE visits (id int PRIMARY KEY, n int NOT NULL)"
READ = text("SELECT n FROM visits WHERE id = :id")
WRITE = text("UPDATE visits SET n = n + 1 WHERE id = :id RETURNING n")
# What a request runs, whether it commits, and how far that takes the client's own row.
# One in ten is rolled back: at every rollback psycopg forgets what it has prepared.
REQUESTS: Sequence[tuple[TextClause, bool, int]] = [
    *[(READ, True, 0), (WRITE, True, 1)] * 9,
    *[(READ, False, 0), (WRITE, False, 1)],
]
SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid()
"""


@dataclass(slots=True)
class Client:
    """A connection that writes its own row and must find there what it has committed."""

    number: int
    n: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def judge(self, found: int, *, commits: bool, step: int) -> None:
        """Take note of what a request returned."""
        if found != self.n + step:  # of a statement that another client has prepared
            self.errors["a wrong row"] += 1
        self.n = found if commits else found - step

    def failed(self, error: DBAPIError) -> None:
        """Count an error by its sqlstate."""
        assert isinstance(error.orig, psycopg.Error)
        self.errors[error.orig.sqlstate or type(error.orig).__name__] += 1


class Start:
    """Opens when all parties have their connections; `over` when they shall stop."""

    def __init__(self, parties: int, seconds: float) -> None:
        self._waiting = threading.Barrier(parties, self._open)
        self._seconds = seconds
        self._end: float | None = None

    def _open(self) -> None:
        self._end = time.monotonic() + self._seconds

    def wait(self) -> None:
        """Wait for all others."""
        self._waiting.wait(120)

    def abort(self) -> None:
        """Let nobody wait for one that will not come."""
        self._waiting.abort()

    @property
    def opened(self) -> bool:
        """Whether all are connected."""
        return self._end is not None

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.monotonic() > self._end


def work(connection: Connection, client: Client, start: Start) -> None:
    """Make one request after the other, each its own transaction."""
    for statement, commits, step in itertools.cycle(REQUESTS):
        if start.over:
            return
        begun = time.perf_counter()
        try:
            found = connection.execute(statement, {"id": client.number}).scalar_one()
            connection.commit() if commits else connection.rollback()
        except DBAPIError as error:
            client.failed(error)
            connection.rollback()
        else:
            client.judge(found, commits=commits, step=step)
        client.seconds.append(time.perf_counter() - begun)


async def work_async(connection: AsyncConnection, client: Client, start: Start) -> None:
    """Do the same as `work`."""
    for statement, commits, step in itertools.cycle(REQUESTS):
        if start.over:
            return
        begun = time.perf_counter()
        try:
            found = (await connection.execute(statement, {"id": client.number})).scalar_one()
            await (connection.commit() if commits else connection.rollback())
        except DBAPIError as error:
            client.failed(error)
            await connection.rollback()
        else:
            client.judge(found, commits=commits, step=step)
        client.seconds.append(time.perf_counter() - begun)


def _in_threads(engine: Engine, clients: Sequence[Client], start: Start) -> None:
    def run(client: Client) -> None:
        with engine.connect() as connection:
            start.wait()
            work(connection, client, start)

    try:
        with ThreadPoolExecutor(len(clients)) as threads:
            list(threads.map(run, clients))
    finally:
        start.abort()
        engine.dispose()


def _in_tasks(engine: AsyncEngine, clients: Sequence[Client], start: Start) -> None:
    async def run() -> None:
        connections = [await engine.connect() for _ in clients]
        try:
            await asyncio.to_thread(start.wait)
            await asyncio.gather(
                *(work_async(*each, start) for each in zip(connections, clients, strict=True))
            )
        finally:
            for connection in connections:
                await connection.close()
            await engine.dispose()

    try:
        asyncio.run(run())
    finally:
        start.abort()


@contextmanager
def _sampled(direct: URL, start: Start) -> Iterator[list[int]]:
    """Count the database's sessions, from the start on, while the body runs."""
    found: list[int] = []
    over = threading.Event()

    def sample() -> None:
        with sa_create_engine(direct, poolclass=NullPool).connect() as connection:
            while not over.wait(_SAMPLE_SECONDS):
                if start.opened:
                    found.append(connection.scalar(text(SESSIONS)) or 0)
                connection.rollback()

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class Storm:
    """What the clients met, and the most sessions that the server had."""

    clients: list[Client]
    sessions: int

    @property
    def errors(self) -> Counter[str]:
        """How often each sqlstate was met."""
        return +sum((client.errors for client in self.clients), Counter[str]())

    @property
    def milliseconds(self) -> list[float]:
        """How long each request took."""
        return [second * 1000 for client in self.clients for second in client.seconds]


def storm(
    direct: URL,
    engine: Engine,
    asynchronous: AsyncEngine,
    *,
    clients: int = CLIENTS,
    seconds: float = SECONDS,
) -> Storm:
    """Connect all clients, half of them in threads and half in tasks, then have them work."""
    pgbouncer.may_open(2 * clients)
    every, half = [Client(number) for number in range(clients)], clients // 2
    start = Start(half + 1, seconds)  # all tasks are one party
    with _sampled(direct, start) as sessions, ThreadPoolExecutor(2) as both:
        halves = [
            both.submit(_in_threads, engine, every[:half], start),
            both.submit(_in_tasks, asynchronous, every[half:], start),
        ]
        for each in halves:
            each.result()
    return Storm(every, max(sessions))


def make(connection: Connection) -> None:
    """Make the table of the clients' rows."""
    connection.execute(text(SCHEMA))
    rows = {"clients": CLIENTS}
    connection.execute(
        text("INSERT INTO visits SELECT i, 0 FROM generate_series(0, :clients - 1) AS i"), rows
    )


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Storm one PgBouncer with our engines, then with SQLAlchemy's own."""
    size: dict[str, Any] = {"pool_size": CLIENTS // 2, "max_overflow": 0}
    with pgbouncer.started(engine.url, clients=CLIENTS, servers=SERVERS) as url:
        found = []
        for create, create_async in (
            (create_engine, create_async_engine),
            (sa_create_engine, sa_create_async_engine),
        ):
            with engine.begin() as connection:
                connection.execute(text("DROP TABLE IF EXISTS visits"))
                make(connection)
            engine.dispose()  # so that the sessions are PgBouncer's alone
            options = size | ({"pgbouncer": True} if create is create_engine else {})
            found.append(storm(engine.url, create(url, **options), create_async(url, **options)))
    ours, naive = found
    return Report(
        f"pooled: {CLIENTS} client connections over {SERVERS} sessions, through PgBouncer",
        "create_engine of SQLAlchemy",
        list(_figures(ours, naive)),
        [
            f"{pgbouncer.version()} in transaction mode, default_pool_size = {SERVERS}; half of "
            f"the clients in threads, half in tasks, all at once for {SECONDS:.0f} s.",
            "A request is a transaction that reads or writes the client's own row, one in ten of "
            "them rolled back; it must find what the client has committed.",
            f"Errors of the baseline by sqlstate: {dict(naive.errors)}.",
        ],
    )


def _figures(ours: Storm, naive: Storm) -> Iterator[Figure]:
    yield Figure("errors", ours.errors.total(), "", naive.errors.total(), at_most=0)
    requests = len(ours.milliseconds), len(naive.milliseconds)
    yield Figure("requests", requests[0], "", requests[1])
    for percent in (50, 95):
        both = [float(np.percentile(each.milliseconds, percent)) for each in (ours, naive)]
        yield Figure(f"a request, p{percent}", both[0], "ms", both[1])
    most = "sessions of the server at most"
    yield Figure(most, ours.sessions, "", naive.sessions, at_most=SERVERS)
