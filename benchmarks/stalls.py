"""How long writers wait while a table is changed under a transaction that holds it open."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.changes import CHANGES, Change, Step, nothing
from benchmarks.database import settle
from benchmarks.dataset import Dataset
from benchmarks.load import load
from benchmarks.report import Figure, Report
from pgmodern.locks import LockPolicy, bound, milliseconds
from pgmodern.operations import register

ROWS = 200_000
HOLD_SECONDS = 60.0
STAGGER_SECONDS = 10.0  # between the starts of two changes, so that no two work at once
POLICY = LockPolicy()
LONGEST_SECONDS = POLICY.timeout + 0.1


def make(engine: Engine, table: str, given: Step) -> None:
    """Make a table with rows, as the change finds it."""
    with engine.begin() as connection:
        connection.execute(
            text(
                f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                "title text NOT NULL, plays int NOT NULL DEFAULT 0)"
            )
        )
        connection.execute(
            text(
                f"INSERT INTO {table} (title) SELECT 'Song ' || md5(i::text) || ' ' || i "
                f"FROM generate_series(1, {ROWS}) AS i"
            )
        )
    migrate(engine.url, table, given, online=False)
    settle(engine, table)


def migrate(url: URL, table: str, step: Step, *, online: bool) -> None:
    """Run a step as a revision, waiting for locks as pgmodern's env.py or as Alembic does."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        if online:
            timeout = milliseconds(POLICY.timeout)
            connection.execute(text(f"SET lock_timeout = '{timeout}'"))
            connection.commit()
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with (
            bound(connection, POLICY, None),
            context.begin_transaction(_per_migration=True),
        ):
            step(Operations(context), table)


@contextmanager
def held(engine: Engine, table: str) -> Iterator[None]:
    """Have an idle transaction hold the table in ACCESS SHARE for a while, whatever happens."""
    with engine.connect() as connection:
        connection.execute(text(f"SELECT FROM {table} LIMIT 1"))
        end = threading.Timer(HOLD_SECONDS, connection.rollback)
        end.start()
        yield
        end.join()


def longest_stall(engine: Engine, table: str, change: Step, *, online: bool) -> float:
    """Return the seconds of the slowest write from before the change until after it."""
    writes = (
        f"INSERT INTO {table} (title) VALUES ('new ' || %(id)s)",
        f"UPDATE {table} SET title = title || '!' WHERE id = %(id)s",
    )
    with load(engine.url, writes, ROWS) as latencies:
        with held(engine, table):
            time.sleep(0.5)
            migrate(engine.url, table, change, online=online)
        time.sleep(0.5)
    return latencies.longest / 1000


def stalls(engine: Engine, changes: list[Step], *, online: bool) -> list[float]:
    """Return the longest stall of each change, all in one go: they wait most of the time."""
    kind = "online" if online else "plain"

    def measure(number: int) -> float:
        time.sleep(number * STAGGER_SECONDS)
        return longest_stall(engine, f"stall_{kind}_{number}", changes[number], online=online)

    with ThreadPoolExecutor(len(changes)) as pool:
        return list(pool.map(measure, range(len(changes))))


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Change tables in both ways, each under its own writer and its own idle transaction."""
    register()
    for number, change in enumerate([*CHANGES, Change("nothing", nothing, nothing)]):
        for kind, given in zip(("online", "plain"), change.given, strict=True):
            make(engine, f"stall_{kind}_{number}", given)
    online = stalls(engine, [*(each.online for each in CHANGES), nothing], online=True)
    plain = stalls(engine, [*(each.plain for each in CHANGES), nothing], online=False)
    figures = [
        Figure(change.what, ours, "s", theirs, at_most=LONGEST_SECONDS)
        for change, ours, theirs in zip(CHANGES, online, plain, strict=False)
    ]
    figures.append(Figure("nothing at all", online[-1], "s", plain[-1]))
    return Report(
        "stalls: the slowest write during a change",
        "plain Alembic",
        figures,
        [
            f"{ROWS:,} rows a table, a writer of one insert and one update every "
            "10 ms, each its own transaction.",
            f"A transaction reads the table once and then idles for {HOLD_SECONDS:.0f} s; the "
            "change begins half a second later.",
            f"The changes, each on a table of its own, begin {STAGGER_SECONDS:.0f} s apart.",
        ],
    )
