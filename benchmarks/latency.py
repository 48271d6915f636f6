"""Wall time of calls, as their caller sees it."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from psycopg import connect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pgmodern.queries.explain import statements_of
from pgmodern.types.wire import register
from tests.kills import libpq

Q = TypeVar("Q")
R = TypeVar("R")

WARM_UP = 20  # covers the executions after which psycopg prepares and PostgreSQL keeps a plan


@dataclass(frozen=True, slots=True)
class Timed(Generic[R]):
    """What each call returned and how long it took."""

    results: list[R]
    milliseconds: NDArray[np.float64]

    @property
    def p50(self) -> float:
        """The median latency in milliseconds."""
        return float(np.percentile(self.milliseconds, 50))

    @property
    def p95(self) -> float:
        """The latency in milliseconds that one call in twenty exceeds."""
        return float(np.percentile(self.milliseconds, 95))

    def of(self, chosen: Sequence[bool]) -> "Timed[R]":
        """Return only the chosen calls."""
        kept = [result for result, keep in zip(self.results, chosen, strict=True) if keep]
        return Timed(kept, self.milliseconds[np.asarray(chosen, dtype=bool)])


def timed(engine: Engine, queries: Sequence[Q], call: Callable[[Session, Q], R]) -> Timed[R]:
    """Call with each query, one after the other, without a transaction: each is one read.

    The first queries are also run before the measurement.
    """
    (only,) = in_turns(engine, queries, [call])
    return only


def in_turns(
    engine: Engine, queries: Sequence[Q], calls: Sequence[Callable[[Session, Q], R]]
) -> list[Timed[R]]:
    """Call in several ways with each query, so that none has a quieter machine than the others.

    Which comes first changes with every query. Each way has a session of its own. As `timed`.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    results: list[list[R]] = [[] for _ in calls]
    discarded = min(WARM_UP, len(queries) // 5)
    with ExitStack() as open_sessions:
        sessions = [open_sessions.enter_context(Session(_reading(engine))) for _ in calls]
        for number, query in enumerate([*queries[:discarded], *queries]):
            for turn in range(len(calls)):
                way = (number + turn) % len(calls)
                started = time.perf_counter()
                result = calls[way](sessions[way], query)
                elapsed = time.perf_counter() - started
                if number >= discarded:
                    seconds[way].append(elapsed)
                    results[way].append(result)
    pairs = zip(results, seconds, strict=True)
    return [Timed(found, np.array(each) * 1000) for found, each in pairs]


def _reading(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def beside_psycopg(
    engine: Engine, queries: Sequence[Q], call: Callable[[Session, Q], R]
) -> tuple[Timed[R], Timed[list[Any]]]:
    """Time the calls, and beside each its statement sent by psycopg alone.

    Both are asked without a transaction, on a connection of their own, psycopg's as it makes it
    but for binary results, and what comes first of the two changes with every query. All queries
    are also run before the measurement.
    """
    reading = _reading(engine)
    seconds: tuple[list[float], list[float]] = [], []
    results: tuple[list[R], list[Any]] = [], []
    plain = partial(connect, libpq(engine.url), autocommit=True)
    with Session(reading) as session, plain() as raw:
        register(raw)
        # Each sends one statement.
        asked = (partial(call, session, query) for query in queries)
        sent = [only for each in asked for (only,) in [statements_of(engine, each)]]
        encoded = [statement.encode() for statement, _ in sent]
        for statement, (_, values) in zip(encoded, sent, strict=True):
            raw.execute(statement, values, binary=True).fetchall()

        def repository(number: int) -> None:
            started = time.perf_counter()
            found = call(session, queries[number])
            seconds[0].append(time.perf_counter() - started)
            results[0].append(found)

        def psycopg(number: int) -> None:
            started = time.perf_counter()
            found = raw.execute(encoded[number], sent[number][1], binary=True).fetchall()
            seconds[1].append(time.perf_counter() - started)
            results[1].append(found)

        for number in range(len(queries)):
            first, second = (repository, psycopg) if number % 2 else (psycopg, repository)
            first(number)
            second(number)
    ours, alone = (np.array(each) * 1000 for each in seconds)
    return Timed(results[0], ours), Timed(results[1], alone)
