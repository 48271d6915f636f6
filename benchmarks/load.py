"""An application that goes on working while something is done to its table."""

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.locks import driver

# Its children start in milliseconds, and none of them has a thread or a connection of ours.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["benchmarks.load", "benchmarks.backfill"])
PAUSE_SECONDS = 0.005  # so that the load leaves the machine to what is measured


@dataclass(slots=True)
class Latencies:
    """The milliseconds of each statement run, and each statement's rows; there in the end."""

    milliseconds: NDArray[np.float64]
    affected: Counter[str]

    @property
    def longest(self) -> float:
        """The longest that any statement took."""
        return float(self.milliseconds.max())

    @property
    def p99(self) -> float:
        """The latency in milliseconds that one statement in a hundred exceeds."""
        return float(np.percentile(self.milliseconds, 99))


def begun_apart(work: Callable[..., None], *given: Any) -> tuple[BaseProcess, Pipe]:
    """Begin work in a process of its own; return it, and the pipe that is the work's last value."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=work, args=(*given, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its death is the end of the pipe
    return process, ours


@contextmanager
def load(url: URL, statements: Sequence[str], rows: int) -> Iterator[Latencies]:
    """Run statements in turn, each its own transaction, in a process, while the body runs.

    Each is given the number of one of the rows, at random, as `%(id)s`. The first error ends it,
    and is an error here when the body has ended.
    """
    process, ours = begun_apart(_work, url, statements, rows)
    ours.recv()  # it has begun
    latencies = Latencies(np.empty(0), Counter())
    try:
        yield latencies
    finally:
        ours.send("end")
        seconds, latencies.affected = ours.recv()
        latencies.milliseconds = np.array(seconds) * 1000
        process.join()


def _work(url: URL, statements: Sequence[str], rows: int, pipe: Pipe) -> None:
    chance, seconds, affected = random.Random(rows), list[float](), Counter[str]()

    def timed(statement: str, row: int) -> float:
        started = time.perf_counter()
        found = session.execute(statement.encode(), {"id": row})
        elapsed = time.perf_counter() - started
        affected[statement] += found.rowcount
        return elapsed

    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as ours:
        session = driver(ours)
        for statement in statements:  # the first of each also fills the caches
            timed(statement, 1)
        pipe.send("begun")
        while not pipe.poll():
            for statement in statements:
                seconds.append(timed(statement, chance.randint(1, rows)))
                time.sleep(PAUSE_SECONDS)
    pipe.send((seconds, affected))
