"""What becomes of ten `alembic upgrade head` at once, as ten deploys or ten pods start them."""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.database import administer
from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report

RUNNERS, ROUNDS, SONGS = 10, 20, 20_000
TIMEOUT_SECONDS = 120
TEMPLATE = "runners_legacy"

INI = """
[alembic]
script_location = %(here)s
path_separator = os
[loggers]
keys = root,alembic
[handlers]
keys = stderr
[formatters]
keys =
[logger_root]
level = WARNING
handlers = stderr
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[handler_stderr]
class = StreamHandler
args = (sys.stderr,)
"""

OURS = """
from sqlalchemy import MetaData
from pgmodern.environment import run
run(MetaData())
"""
# What Alembic's own template says, and the directives, so that the revisions are the same.
PLAIN = """
import logging.config
import os
from alembic import context
from pgmodern.operations import register
from sqlalchemy import create_engine, pool
register()
logging.config.fileConfig(context.config.config_file_name)
url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
STEPS = [
    'op.execute("CREATE TABLE plays (song bigint, at timestamptz)")',
    'op.backfill_online("songs.visits", table="songs", '
    'statement="UPDATE songs SET visits = visits + 1 WHERE {range}")',
    'op.create_index_online("ix_songs_title", "songs", ["title"])',
]
REVISION = """
from alembic import op
revision, down_revision = {revision!r}, {down!r}

def upgrade():
    {step}
"""
RIGHT = """
    SELECT (SELECT array_agg(version_num::text) FROM alembic_version) = ARRAY['0003']
       AND (SELECT bool_and(visits = 1) FROM songs)
       AND (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_songs_title'))
       AND to_regclass('plays') IS NOT NULL AND to_regclass('pgmodern_backfill') IS NULL
"""


@dataclass(frozen=True, slots=True)
class Round:
    """What the runners of one round did."""

    failures: int
    appliers: int
    right: bool


def write(folder: Path, env: str) -> None:
    """Write an Alembic environment with the revisions."""
    (folder / "versions").mkdir(parents=True)
    (folder / "alembic.ini").write_text(INI)
    (folder / "env.py").write_text(env)
    for number, step in enumerate(STEPS, 1):
        down = f"{number - 1:04}" if number > 1 else None
        source = REVISION.format(revision=f"{number:04}", down=down, step=step)
        (folder / "versions" / f"{number:04}.py").write_text(source)


def make_legacy(engine: Engine) -> None:
    """Make the database that every round begins with."""
    administer(engine, f"CREATE DATABASE {TEMPLATE}")
    with _engine(engine.url.set(database=TEMPLATE)).begin() as connection:
        connection.execute(
            text("CREATE TABLE songs (id bigint PRIMARY KEY, title text, visits int DEFAULT 0)")
        )
        connection.execute(
            text(
                "INSERT INTO songs (id, title) SELECT i, md5(i::text) "
                f"FROM generate_series(1, {SONGS}) AS i"
            )
        )


def _engine(url: URL) -> Engine:
    return create_engine(url, poolclass=NullPool)


@contextmanager
def legacy(engine: Engine) -> Iterator[URL]:
    """Yield a new copy of it."""
    name = f"runners_{uuid.uuid4().hex}"
    administer(engine, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield engine.url.set(database=name)
    administer(engine, f"DROP DATABASE {name} WITH (FORCE)")


def race(engine: Engine, folder: Path) -> Round:
    """Start all the runners at once on one database, and judge what they leave."""
    with legacy(engine) as url:
        named = url.set(drivername="postgresql").render_as_string(hide_password=False)
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "alembic", "-c", "alembic.ini", "upgrade", "head"],
                cwd=folder,
                env=os.environ | {"DATABASE_URL": named},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(RUNNERS)
        ]
        said = [_stderr(process) for process in processes]
        with _engine(url).connect() as connection:
            right = bool(connection.scalar(text(RIGHT)))
    return Round(
        sum(process.returncode != 0 for process in processes),
        sum("Running upgrade" in each for each in said),
        right,
    )


def _stderr(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=TIMEOUT_SECONDS)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[1]


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Race with pgmodern's env.py, then with Alembic's."""
    make_legacy(engine)
    with tempfile.TemporaryDirectory(prefix="pgmodern-runners-") as folder:
        rounds = []
        for name, env in (("ours", OURS), ("plain", PLAIN)):
            write(Path(folder) / name, env)
            rounds.append([race(engine, Path(folder) / name) for _ in range(ROUNDS)])
    ours, plain = rounds
    started = RUNNERS * ROUNDS
    return Report(
        f"runners: {RUNNERS} x `alembic upgrade head` at once, {ROUNDS} rounds",
        "plain Alembic",
        [
            Figure(
                "processes that failed",
                sum(each.failures for each in ours),
                f"of {started}",
                sum(each.failures for each in plain),
                at_most=0,
            ),
            Figure(
                "appliers in a round, most",
                max(each.appliers for each in ours),
                f"of {RUNNERS}",
                max(each.appliers for each in plain),
                at_most=1,
            ),
            Figure(
                "appliers in a round, fewest",
                min(each.appliers for each in ours),
                f"of {RUNNERS}",
                min(each.appliers for each in plain),
                at_least=1,
            ),
            Figure(
                "rounds with the right schema and rows",
                sum(each.right for each in ours),
                f"of {ROUNDS}",
                sum(each.right for each in plain),
                at_least=ROUNDS,
            ),
        ],
        [
            "Each round is on a new copy of a database; its revisions create a table, backfill "
            f"{SONGS:,} rows and build an index, the last two online.",
            "An applier is a process that said of a revision that it runs it.",
        ],
    )
