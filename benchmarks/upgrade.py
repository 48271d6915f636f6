"""Whether the applications' databases reach head and go back while they are worked with."""

import difflib
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice

from sqlalchemy import Engine, text

from benchmarks.applications import APPLICATIONS, ROWS, Application
from benchmarks.database import BUILD_MEMORY, administer, migrate, settle
from benchmarks.dataset import Dataset
from benchmarks.load import Latencies, load
from benchmarks.report import Figure, Report
from pgmodern.engine import create_engine
from pgmodern.quoting import quoted
from tests.legacy.music import modern_document
from tests.pg_dump import dump

IDLE_SECONDS = 10.0
WITHOUT_VERSION = "--exclude-table=*.alembic_version"
WRITES = re.compile(r"(INSERT INTO|DELETE FROM) (\w+)")

Columns = dict[str, list[str]]
Sums = dict[str, tuple[int, int]]


def tables(applications: Sequence[Application]) -> dict[str, str]:
    """Return for each table which of its rows are the workload's."""
    return {
        table: application.live.get(table, "false")
        for application in applications
        for table in application.legacy.rows
    }


def columns(engine: Engine, names: Sequence[str]) -> Columns:
    """Return for each table its columns, as expressions that read alike before and after."""
    # A vector's numbers are real, and it does not know that an array began at 0.
    alike = {"vibe_vector": "array_to_string(vibe_vector::real[], ' ')", "playlist_data": "true"}
    query = text(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 "
        "ORDER BY attnum"
    )
    with engine.connect() as connection:
        return {
            name: [
                alike.get(each, quoted(each))
                for each in connection.scalars(query, {"name": quoted(name)})
            ]
            for name in names
        }


def sums(engine: Engine, of: Columns, live: dict[str, str]) -> Sums:
    """Return for each table the number of rows that are not the workload's, and a checksum."""
    found = {}
    with engine.connect() as connection:
        for table, expressions in of.items():
            row = connection.execute(
                text(
                    f"SELECT count(*), sum(hashtextextended(ROW({', '.join(expressions)})::text, 0)"
                    f"::numeric) FROM {quoted(table)} WHERE NOT ({live[table]})"
                )
            ).one()
            found[table] = (int(row[0]), int(row[1] or 0))
    if "archives" in of:
        found["archives: documents"] = meaning(engine, live["archives"])
    return found


def meaning(engine: Engine, live: str) -> tuple[int, int]:
    """Return the number of playlists, and a checksum of what they mean, whatever their shape."""
    number, total = 0, 0
    query = text(f"SELECT id::text, playlist_data::text FROM archives WHERE NOT ({live})")
    with engine.connect().execution_options(stream_results=True) as connection:
        for row in connection.execute(query):
            document = modern_document(json.loads(row[1], parse_float=Decimal))
            written = json.dumps([row[0], document], sort_keys=True, default=str)
            number += 1
            total += int.from_bytes(hashlib.md5(written.encode()).digest()[:8])
    return number, total


@contextmanager
def working(engine: Engine, applications: Sequence[Application]) -> Iterator[list[Latencies]]:
    """Have every application do its work while the body runs."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(load(engine.url, application.statements, ROWS))
            for application in applications
        ]


def written(latencies: Sequence[Latencies]) -> Counter[str]:
    """Return how many rows of its own the workload must have left in each table."""
    left: Counter[str] = Counter()
    for statement, rows in sum((each.affected for each in latencies), Counter[str]()).items():
        if match := WRITES.match(statement):
            left[match[2]] += rows if match[1] == "INSERT INTO" else -rows
    return left


def lost(engine: Engine, live: dict[str, str], left: Counter[str]) -> int:
    """Return how many of the workload's rows are missing, or there though they were deleted."""
    with engine.connect() as connection:
        return sum(
            abs(
                int(connection.scalar(text(f"SELECT count(*) FROM {table} WHERE {rows}")) or 0)
                - left[table]
            )
            for table, rows in live.items()
        )


def wrong(engine: Engine, applications: Sequence[Application]) -> int:
    """Return how many rows lack what the migrations should have added."""
    with engine.connect() as connection:
        return sum(
            int(connection.exec_driver_sql(each.legacy.wrong).scalar_one()) for each in applications
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """What a change of a live database took, what the applications did, and what they then had."""

    seconds: float
    work: list[Latencies]
    sums: Sums

    @property
    def slowest(self) -> float:
        """The milliseconds of the slowest statement."""
        return max(each.longest for each in self.work)


def prove(
    admin: Engine, dataset: Dataset, name: str, applications: Sequence[Application]
) -> list[Figure]:
    """Take a new database of these applications to head and back, under their work."""
    engine, live = new_database(admin, f"upgrade_{name}".replace(" ", "_")), tables(applications)
    for application in applications:
        application.create(engine, dataset)
    settle(engine, *live)
    of, schema = columns(engine, list(live)), dump(engine.url)

    def stage(change: Callable[[], float]) -> Stage:
        with working(engine, applications) as work:
            seconds = change()
        return Stage(seconds, work, sums(engine, of, live))

    before = sums(engine, of, live)
    idle = stage(rest)
    rising = stage(lambda: migrate(engine.url, **BUILD_MEMORY))
    lacking = wrong(engine, applications)
    falling = stage(lambda: migrate(engine.url, "base"))
    work = [*idle.work, *rising.work, *falling.work]
    missing = lost(engine, live, written(work))
    engine.dispose()
    odd = changed(schema, dump(engine.url, WITHOUT_VERSION))
    drop_database(admin, engine)
    figures = [
        Figure("rows", sum(before[table][0] for table in live), ""),
        Figure("upgrade head", rising.seconds, "s"),
        Figure("downgrade base", falling.seconds, "s"),
        Figure("slowest statement during the upgrade", rising.slowest, "ms", idle.slowest),
        Figure("slowest statement during the downgrade", falling.slowest, "ms", idle.slowest),
        Figure("statements, all without an error", sum(len(w.milliseconds) for w in work), ""),
        Figure("rows of the workload lost", missing, "", at_most=0),
        Figure("rows without what was to be added", lacking, "", at_most=0),
        Figure("tables changed at head", differences(before, rising.sums), "", at_most=0),
        Figure("tables changed at base", differences(before, falling.sums), "", at_most=0),
        Figure("lines of the schema that differ at base", odd, "", at_most=0),
    ]
    return [replace(figure, what=f"{name}: {figure.what}") for figure in figures]


def rest() -> float:
    """Change nothing for a while."""
    time.sleep(IDLE_SECONDS)
    return IDLE_SECONDS


def new_database(admin: Engine, name: str) -> Engine:
    """Create a database and return an engine on it."""
    administer(admin, f"CREATE DATABASE {quoted(name)}")
    return create_engine(admin.url.set(database=name))


def drop_database(admin: Engine, engine: Engine) -> None:
    """Drop what was created, so that the next has the disk to itself."""
    engine.dispose()
    administer(admin, f"DROP DATABASE {quoted(str(engine.url.database))}")


def differences(before: Sums, after: Sums) -> int:
    """Return how many tables do not hold what they held."""
    return sum(before[table] != after[table] for table in before)


def changed(before: str, after: str) -> int:
    """Return how many lines of a schema are new or gone."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return sum(1 for line in islice(lines, 2, None) if not line.startswith("@@"))


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Upgrade and downgrade each of the applications' databases, and one that holds them all."""
    figures = []
    for application in APPLICATIONS:
        figures += prove(engine, dataset, application.legacy.name, [application])
    figures += prove(engine, dataset, "all four", APPLICATIONS)
    return Report(
        "upgrade: live databases of the four applications, to head and back",
        "before the upgrade",
        figures,
        [
            f"Real rows, {ROWS:,} and more in each large table, and the odd ones of the tests. An "
            "application is a process that reads, inserts, updates and deletes all the time, with "
            "a pause of 5 ms after each statement.",
            "Checksums are of every column that was there before; playlists are compared by what "
            "they mean, because the upgrade rewrites them in the shape of today.",
        ],
    )
