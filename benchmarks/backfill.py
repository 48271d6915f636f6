"""What a backfill costs beside one UPDATE, what its neighbours notice, and what kills do to it."""

import random
import time
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Event
from statistics import median

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.database import settle
from benchmarks.dataset import Dataset
from benchmarks.load import PROCESSES, Latencies, load
from benchmarks.report import Figure, Report
from pgmodern.backfill import Backfill, run
from pgmodern.runner import alone
from pgmodern.throttle import Throttle

Pair = tuple[Latencies, Latencies]

ROWS, KILLS, SEED = 1_000_000, 100, 7
KILLED_PART = 0.8  # of the undisturbed backfill's time is spread over those who are killed
IDLE_SECONDS, REPETITIONS = 60.0, 3

GENTLE = "gentle"
THROTTLES = {"as it comes": Throttle(), GENTLE: Throttle(target=0.05, rest=0.98)}

READ = "SELECT title FROM {table} WHERE id = %(id)s"
WRITE = "UPDATE {table} SET title = title || '!' WHERE id = %(id)s"


def make(engine: Engine, table: str) -> None:
    """Make a table whose rows count the visits, in place of one of that name."""
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
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


def fill(
    url: URL, table: str, begun: Event | None = None, throttle: Throttle | None = None
) -> None:
    """Run the backfill, alone as `alembic upgrade` is and on a session like its own."""
    statement = f"UPDATE {table} SET visits = visits + 1 WHERE {{range}}"
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with alone(engine), engine.connect() as connection:
        connection.execute(text("SET client_connection_check_interval = '500ms'"))
        if begun is not None:
            begun.set()
        run(connection, Backfill(table, table, "id", "bigint", statement), throttle=throttle)


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


def neighbours(engine: Engine, table: str, throttle: Throttle | None) -> Pair:
    """Return the latencies of a reader and of a writer, during the backfill or without it."""
    with (
        load(engine.url, [READ.format(table=table)], ROWS) as reads,
        load(engine.url, [WRITE.format(table=table)], ROWS) as writes,
    ):
        if throttle is None:
            time.sleep(IDLE_SECONDS)
        else:
            fill(engine.url, table, throttle=throttle)
    return reads, writes


def seconds(engine: Engine, change: Callable[[str], None]) -> float:
    """Return how long a change of the whole of a new table takes."""
    make(engine, "changed")
    started = time.perf_counter()
    change("changed")
    elapsed = time.perf_counter() - started
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE changed"))  # or its vacuum would disturb what follows
    return elapsed


def compare(engine: Engine) -> list[Figure]:
    """Compare backfill and UPDATE, busy and idle, in turns; the median of each."""
    filled, updated, gentle = list[float](), list[float](), list[float]()
    pairs = dict[str, list[Pair]]()
    for _ in range(REPETITIONS):
        filled.append(seconds(engine, lambda table: fill(engine.url, table)))
        updated.append(seconds(engine, lambda table: update(engine, table)))
        for name, throttle in {"": None, **THROTTLES}.items():
            make(engine, "shared")  # or the vacuum of one would be among the next one's neighbours
            started = time.perf_counter()
            pairs.setdefault(name, []).append(neighbours(engine, "shared", throttle))
            if name == GENTLE:
                gentle.append(time.perf_counter() - started)
    figures = [
        Figure("the whole table", median(filled), "s", median(updated), ratio_at_least=0.5),
        Figure(f"the whole table, {GENTLE}", median(gentle), "s", median(updated)),
    ]
    for name in THROTTLES:
        for side, who in enumerate(("reader", "writer")):
            busy, idle = ([pair[side] for pair in pairs[each]] for each in (name, ""))
            figures += _figures(f"{who}, {name}", busy, idle, goal=name == GENTLE)
    return figures


def _figures(
    what: str, busy: Sequence[Latencies], idle: Sequence[Latencies], *, goal: bool
) -> list[Figure]:
    p99, slowest = (
        [median(getattr(each, name) for each in side) for side in (busy, idle)]
        for name in ("p99", "longest")
    )
    return [
        Figure(f"{what}: p99", p99[0], "ms", p99[1], ratio_at_least=0.8 if goal else None),
        Figure(f"{what}: slowest", slowest[0], "ms", slowest[1]),
    ]


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Fill tables undisturbed and beside neighbours, and one under kills."""
    figures = compare(engine)
    make(engine, "killed")
    kills = kill(engine.url, "killed", figures[0].value)
    left = not_once(engine, "killed")
    fill(engine.url, "killed")
    return Report(
        f"backfill: {ROWS:,} rows",
        "one UPDATE, or idle",
        [
            *figures,
            Figure("killed", kills, "clients", at_least=KILLS),
            Figure("left for the last", left, "rows", at_least=1),
            Figure("not visited exactly once", not_once(engine, "killed"), "rows", at_most=0),
        ],
        [
            f"The median of {REPETITIONS} turns, each on new tables.",
            "The reader and the writer take one row every 5 ms, each its own transaction; a ratio "
            "of 0.8x is 1.25 times the idle latency. The goal is for the gentle backfill, whose "
            "batches take 50 ms and which rests for 98 hundredths of the time: "
            "Throttle(target=0.05, rest=0.98).",
            f"{KILLS} clients, one after the other, are killed by SIGKILL at random instants; one "
            "more is left to finish.",
        ],
    )
