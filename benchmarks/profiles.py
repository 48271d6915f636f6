"""How soon a kept profile is forgotten after another process has changed it, and what it saves."""

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe

import numpy as np
from alembic.migration import MigrationContext
from alembic.operations import Operations
from numpy.typing import NDArray
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.dataset import Dataset
from benchmarks.load import begun_apart
from benchmarks.report import Figure, Report
from pgmodern import Cached, Listener
from pgmodern.operations import register

Times = NDArray[np.float64]  # seconds

ROWS, WRITES, READS = 1000, 500, 20_000
PAUSE_SECONDS = 0.005
TABLES = "profiles", "silent_profiles"
WRITE = "UPDATE {table} SET traits = traits || '!' WHERE id = :id"
READ = text("SELECT id, traits FROM profiles WHERE id = :id")


class Forgotten:
    """A subscriber that notes when it hears of each commit, after the cache did."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.heard = threading.Event()

    def notified(self, _payload: str) -> None:
        """Note the time; all processes of a machine share the clock."""
        self.at.append(time.monotonic())
        self.heard.set()

    def missed(self) -> None:
        """Nothing is kept."""


def _write(url: URL, pipe: Pipe) -> None:
    """Commit changes of both tables in turn, and send when each was begun and committed."""
    times: dict[str, list[tuple[float, float]]] = {table: [] for table in TABLES}
    with create_engine(url, poolclass=NullPool).connect() as connection:
        for number in range(WRITES):
            for table in TABLES:
                begun = time.monotonic()
                connection.execute(text(WRITE.format(table=table)), {"id": number % ROWS})
                connection.commit()
                times[table].append((begun, time.monotonic()))
                time.sleep(PAUSE_SECONDS)
    pipe.send([times[table] for table in TABLES])


def _written(url: URL) -> tuple[Times, Times]:
    process, ours = begun_apart(_write, url)
    notifying, silent = map(np.array, ours.recv())
    process.join()
    return notifying, silent


def _make(engine: Engine) -> None:
    register()
    with engine.begin() as connection:
        for table in TABLES:
            connection.execute(text(f"CREATE TABLE {table} (id int PRIMARY KEY, traits text)"))
            connection.execute(
                text(f"INSERT INTO {table} SELECT i, '' FROM generate_series(0, {ROWS - 1}) AS i")
            )
        op = Operations(MigrationContext.configure(connection))
        op.create_change_notification(TABLES[0], ["id"])  # type: ignore[attr-defined]


def _microseconds(read: Callable[[int], object]) -> float:
    """Return the median time of a read."""
    seconds = []
    for number in range(READS):
        begun = time.perf_counter()
        read(number % ROWS)
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds)) * 1e6


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Change rows in one process, and note in another when each change is heard of."""
    _make(engine)

    def load(key: int) -> object:
        with engine.begin() as connection:
            return connection.execute(READ, {"id": key}).one()

    forgotten, cached = Forgotten(), Cached(load, column="id", ttl=3600)
    with Listener(engine.url, {"profiles_changed": [cached, forgotten]}):
        reads = _microseconds(cached.get), _microseconds(load)
        notifying, silent = _written(engine.url)
        while len(forgotten.at) < WRITES:
            forgotten.heard.wait(1)
            forgotten.heard.clear()
    delays = np.array(forgotten.at) - notifying[:, 1]
    return Report(
        "profiles: kept in a process, changed in another",
        "read from the server",
        [
            Figure("a read, p50", reads[0], "us", reads[1]),
            Figure("from the end of the commit until it is forgotten, p50", _at(50, delays)),
            Figure("the same, p99", _at(99, delays), at_most=100),
            Figure(
                "a write of one row, p50 (baseline: no triggers)",
                _at(50, np.ptp(notifying, axis=1)),
                baseline=_at(50, np.ptp(silent, axis=1)),
            ),
        ],
        [
            f"{WRITES} changes of one row of a table with triggers, in turn with one without, "
            f"{PAUSE_SECONDS * 1000:.0f} ms apart, in another process; {READS:,} reads of "
            f"{ROWS:,} kept rows.",
        ],
    )


def _at(percent: int, seconds: Times) -> float:
    """Return a percentile in milliseconds; what was heard before the writer was told took none."""
    return max(0.0, float(np.percentile(seconds, percent)) * 1000)
