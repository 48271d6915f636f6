"""What a backfill costs beside one UPDATE, what its neighbours notice, and what kills do to it."""

import random
import time
from multiprocessing.synchronize import Event

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.database import settle
from benchmarks.dataset import Dataset
from benchmarks.load import PROCESSES, Latencies, load
from benchmarks.report import Figure, Report
from pgmodern.backfill import Backfill, run
from pgmodern.runner import alone

ROWS, KILLS, SEED = 1_000_000, 100, 7
KILLED_PART = 0.8  # of the undisturbed backfill's time is spread over those who are killed
IDLE_SECONDS = 15.0

READ = "SELECT title FROM {table} WHERE id = %(id)s"
WRITE = "UPDATE {table} SET title = title || '!' WHERE id = %(id)s"


def make(engine: Engine, table: str) -> None:
    """Make a table whose rows count the visits."""
    with engine.begin() as connection:
        connection.execute(
            text(
                f"CREATE TABLE {table} (id bigint PRIMARY KEY, title text NOT NULL, "
                "visits int NOT NULL DEFAULT 0)"
            )
        )
        connection.execute(
            text(f"INSERT INTO {table} SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) AS i")
        )
    settle(engine, table)


def fill(url: URL, table: str, begun: Event | None = None) -> None:
    """Run the backfill, alone as `alembic upgrade` is and on a session like its own."""
    statement = f"UPDATE {table} SET visits = visits + 1 WHERE {{range}}"
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with alone(engine), engine.connect() as connection:
        connection.execute(text("SET client_connection_check_interval = '500ms'"))
        if begun is not None:
            begun.set()
        run(connection, Backfill(table, table, "id", "bigint", statement))


def update(engine: Engine, table: str) -> None:
    """Do the same in one statement."""
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET visits = visits + 1"))


def kill(url: URL, table: str, seconds: float) -> int:
    """Kill client after client at random; return how many were.

    `seconds` are what the backfill takes undisturbed.
    """
    chance, longest = random.Random(SEED), 2 * KILLED_PART * seconds / KILLS
    for killed in range(KILLS):
        begun = PROCESSES.Event()
        process = PROCESSES.Process(target=fill, args=(url, table, begun))
        process.start()
        begun.wait()
        process.join(chance.uniform(0, longest))
        if process.exitcode is not None:
            return killed
        process.kill()
        process.join()
    return KILLS


def not_once(engine: Engine, table: str) -> int:
    """Return how many rows were not visited exactly once."""
    with engine.connect() as connection:
        wrong = connection.scalar(text(f"SELECT count(*) FROM {table} WHERE visits <> 1"))
    return int(wrong or 0)


def neighbours(engine: Engine, table: str, *, idle: bool) -> tuple[Latencies, Latencies]:
    """Return the latencies of a reader and of a writer, during the backfill or without it."""
    with (
        load(engine.url, [READ.format(table=table)], ROWS) as reads,
        load(engine.url, [WRITE.format(table=table)], ROWS) as writes,
    ):
        if idle:
            time.sleep(IDLE_SECONDS)
        else:
            fill(engine.url, table)
    return reads, writes


def costs(engine: Engine) -> tuple[float, float]:
    """Return the seconds that the backfill takes, and those of one UPDATE."""
    make(engine, "filled")
    started = time.perf_counter()
    fill(engine.url, "filled")
    filled = time.perf_counter() - started
    make(engine, "updated")
    started = time.perf_counter()
    update(engine, "updated")
    return filled, time.perf_counter() - started


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Fill one table undisturbed, one beside neighbours, and one under kills."""
    filled, updated = costs(engine)
    make(engine, "shared")
    idle_reads, idle_writes = neighbours(engine, "shared", idle=True)
    reads, writes = neighbours(engine, "shared", idle=False)
    make(engine, "killed")
    kills = kill(engine.url, "killed", filled)
    left = not_once(engine, "killed")
    fill(engine.url, "killed")
    return Report(
        f"backfill: {ROWS:,} rows",
        "one UPDATE, or idle",
        [
            Figure("the whole table", filled, "s", updated, ratio_at_least=0.5),
            Figure("reader's p99", reads.p99, "ms", idle_reads.p99, ratio_at_least=0.8),
            Figure("writer's p99", writes.p99, "ms", idle_writes.p99, ratio_at_least=0.8),
            Figure("reader's slowest", reads.longest, "ms", idle_reads.longest),
            Figure("writer's slowest", writes.longest, "ms", idle_writes.longest),
            Figure("killed", kills, "clients", at_least=KILLS),
            Figure("left for the last", left, "rows", at_least=1),
            Figure("not visited exactly once", not_once(engine, "killed"), "rows", at_most=0),
        ],
        [
            "The reader and the writer take one row every 5 ms, each its own transaction; a ratio "
            "of 0.8x is 1.25 times the idle latency.",
            f"{KILLS} clients, one after the other, are killed by SIGKILL at random instants; one "
            "more is left to finish.",
        ],
    )
