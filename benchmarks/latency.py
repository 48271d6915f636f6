"""Wall time of calls, as their caller sees it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from pgmodern.locks import driver

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
    """Call with each query, one after the other, each in a transaction of its own.

    BEGIN counts, as an application waits for it too; the end of the transaction does not. The
    first queries are also run before the measurement.
    """
    results, seconds = [], []
    discarded = min(WARM_UP, len(queries) // 5)
    with Session(engine) as session:
        for number, query in enumerate([*queries[:discarded], *queries]):
            started = time.perf_counter()
            result = call(session, query)
            elapsed = time.perf_counter() - started
            session.rollback()
            if number >= discarded:
                results.append(result)
                seconds.append(elapsed)
    return Timed(results, np.array(seconds) * 1000)


def in_psycopg(
    engine: Engine, queries: Sequence[Q], call: Callable[[Session, Q], object]
) -> Timed[list[Any]]:
    """Time the very statements that the calls send, sent by psycopg alone: what the server costs.

    The difference to `timed` is what SQLAlchemy and the repository cost.
    """
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        sent.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    try:
        with Session(engine) as session:
            for query in queries:
                call(session, query)
                session.rollback()
    finally:
        event.remove(engine, "before_cursor_execute", note)

    def send(session: Session, each: tuple[str, Any]) -> list[Any]:
        return driver(session.connection()).execute(each[0].encode(), each[1]).fetchall()

    return timed(engine, sent, send)
