"""Fixtures of the suite's own, beside those of pgmodern.pytest_plugin."""

import gc
import os
import random
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from benchmarks import pgbouncer
from psycopg import sql
from sqlalchemy import URL

from pgmodern import embedded
from pgmodern.testing.databases import database
from tests import catalogue, commands, pg_dump
from tests.kills import SEED, SURVIVED, Selection, libpq
from tests.waiting import until, until_found

ROOT = Path(__file__).parents[1]
LEGACY = ROOT.parent / "shared" / "legacy"
Connect = Callable[[URL], psycopg.Connection]
Process = subprocess.Popen[str]
Completed = subprocess.CompletedProcess[str]
# SQLAlchemy's own tests of a dialect, which `python -m tools.dialect_suite` runs.
collect_ignore = ["dialect"]
NAMES_A_DATABASE = ("DATABASE_URL", "POSTGRES_", "PGMODERN_", "PGHOST", "PGPASSWORD", "PGSERVICE")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for those who have the time."""
    parser.addoption(
        "--every-statement",
        action="store_true",
        help="kill before every statement, not only before some",
    )
    parser.addoption(
        "--seed", type=int, help="draw the same kills and tests as the run that printed this number"
    )
    parser.addoption(
        "--sample",
        type=int,
        default=1,
        help="of the tests that are not quick run one in so many, drawn by the seed",
    )
    parser.addoption(
        "--models",
        type=int,
        help="try autogenerate on so many random models, others each time, and not on the same few",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed of all that is drawn; a worker of pytest-xdist is told."""
    seed = getattr(config, "workerinput", {}).get("seed", config.getoption("--seed"))
    config.stash[SEED] = random.randrange(1 << 32) if seed is None else seed


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Have every worker of pytest-xdist draw by the seed that the header tells."""
    node.workerinput["seed"] = node.config.stash[SEED]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they take, and leave out those that `--sample` does not draw.

    Those that ask a server, as only these can say something new on a second one, those that take
    the reference schemas, which need extensions that not every server has, and those that kill,
    which can be asked for every statement.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "postgres_url" in fixtures:
            item.add_marker("server")
        if "pooled" in fixtures:
            item.add_marker("pgbouncer")
        if fixtures & {"template_database", "struck"} or item.get_closest_marker("alembic"):
            item.add_marker("reference")
        if item.get_closest_marker("reference"):
            item.add_marker("vector")
            item.add_marker("contrib")
        if fixtures & {"proof", "struck", "selection"}:
            item.add_marker("kills")
    drawn = {item for item in items if _is_drawn(item, config)}
    config.hook.pytest_deselected(items=[item for item in items if item not in drawn])
    items[:] = [item for item in items if item in drawn]


def _is_drawn(item: pytest.Item, config: pytest.Config) -> bool:
    if item.get_closest_marker("quick"):
        return True
    chance = random.Random(f"{config.stash[SEED]}:{item.nodeid}")
    return chance.randrange(config.getoption("--sample")) == 0


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the run: every module, and every test."""
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    """Say how what this run draws can be had again."""
    return f"drawn: --seed={config.stash[SEED]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say for each operation how many kills it survived, in whichever process."""
    survived = [
        str(value).rsplit(": ", 2)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, value in report.user_properties
        if name == SURVIVED
    ]
    if not survived:
        return
    terminalreporter.section("killed before a statement, run again: how many were survived")
    terminalreporter.line(f"{'operation':<50}{'SIGKILL':>12}  pg_terminate_backend")
    counts: dict[str, dict[str, str]] = {}
    for operation, how, count in survived:
        counts.setdefault(operation, {})[how] = count
    for operation, of in counts.items():
        line = f"{operation:<50}{of.get('SIGKILL', ''):>12}  {of.get('terminate', '')}"
        terminalreporter.line(line.rstrip())


@pytest.fixture(autouse=True)
def _since(request: pytest.FixtureRequest) -> None:
    """Skip a test of a feature that the server does not have yet."""
    if (marker := request.node.get_closest_marker("since")) is None:
        return
    version, feature = marker.args
    with psycopg.connect(libpq(request.getfixturevalue("postgres_url"))) as connection:
        if connection.info.server_version // 10_000 < version:
            pytest.skip(f"{feature}: from PostgreSQL {version}")


@pytest.fixture
def selection(request: pytest.FixtureRequest) -> Selection:
    """Which statements the kills of a test come before."""
    return Selection.of(request.config)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this package."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def alembic_ini() -> Path:
    """The Alembic configuration of the reference schemas."""
    return ROOT / "alembic.ini"


@pytest.fixture(scope="session")
def environ() -> dict[str, str]:
    """The environment of a subprocess, in which nothing names a database."""
    return {k: v for k, v in os.environ.items() if not k.startswith(NAMES_A_DATABASE)}


def _naming(url: URL | str | None) -> dict[str, str]:
    """Return the variable that names a database to a command."""
    if not url:
        return {}
    return {"DATABASE_URL": libpq(url) if isinstance(url, URL) else url}


@pytest.fixture
def start_alembic(
    alembic_ini: Path, environ: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Process]]:
    """Start `python -m alembic` in an empty folder, on a URL or with variables of your own.

    The project is that of the reference schemas unless another `ini` is given.
    """
    with ExitStack() as stack:

        def start(
            *arguments: str,
            url: URL | str | None = None,
            ini: Path = alembic_ini,
            **variables: str,
        ) -> Process:
            process = subprocess.Popen(
                [sys.executable, "-m", "alembic", "-c", str(ini), *arguments],
                cwd=tmp_path,
                env=environ | _naming(url) | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def alembic(alembic_ini: Path, environ: dict[str, str], tmp_path: Path) -> Callable[..., Completed]:
    """Run `python -m alembic` to its end, as `start_alembic` starts it."""

    def run(
        *arguments: str, url: URL | str | None = None, ini: Path = alembic_ini, **variables: str
    ) -> Completed:
        command = ["-c", str(ini), *arguments]
        env = environ | _naming(url) | variables
        return commands.run(command, module="alembic", cwd=tmp_path, env=env)

    return run


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder of pg_dump and psql, which work with servers of their own version and older."""
    return pg_dump.binaries()


@pytest.fixture(scope="session")
def dump() -> Callable[..., str]:
    """Return a database's schema as SQL text, equal for equal schemas."""
    return pg_dump.dump


@pytest.fixture
def schema_of(connect: Connect) -> Callable[[URL], list[str]]:
    """Return a database's schema as its catalogue has it; stays connected to it."""
    observer = cache(connect)
    return lambda url: catalogue.describe(observer(url))


@pytest.fixture(scope="session")
def psql(binaries: Path) -> Callable[[URL, str], Completed]:
    """Run a script through psql, up to its first error; its exit code is the test's to judge."""
    command = [str(binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]

    def run(url: URL, script: str) -> Completed:
        return subprocess.run(
            [*command, libpq(url)], input=script, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Open a connection of psycopg's own, in autocommit mode; closed when the test ends."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(psycopg.connect(libpq(url), autocommit=True))


@pytest.fixture(scope="session")
def legacy_schema() -> str:
    """The SQL of the database that the music application runs on today."""
    path = LEGACY / "music.sql"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path.read_text()


@pytest.fixture(scope="session")
def guarded_server() -> Iterator[URL]:
    """An embedded server of its own that asks every role but `postgres` for its password."""
    with tempfile.TemporaryDirectory(prefix="pgmodern-guarded-") as home:
        url = embedded.start(Path(home), keep=False)
        with psycopg.connect(libpq(url), autocommit=True) as admin:
            (rules,) = admin.execute("SHOW hba_file").fetchone() or ("",)
            before = admin.execute("SELECT pg_conf_load_time()").fetchone()
            Path(rules).write_text("local all postgres trust\nlocal all all scram-sha-256\n")
            admin.execute("SELECT pg_reload_conf()")

        def is_loaded() -> bool:
            with psycopg.connect(libpq(url)) as admin:
                return admin.execute("SELECT pg_conf_load_time()").fetchone() != before

        until(is_loaded)
        yield url


@pytest.fixture
def blocked(connect: Connect) -> Callable[[URL], int]:
    """Wait until a process in the database waits for a lock, and return its id."""

    def wait(url: URL) -> int:
        (pid,) = until_found(
            connect(url),
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        return int(pid)

    return wait


@pytest.fixture(scope="session")
def migrated_database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A migrated database for tests that write nothing."""
    with database(postgres_url, template_database) as url:
        yield url


@pytest.fixture
def copied(postgres_url: URL, connect: Connect) -> Callable[[URL], AbstractContextManager[URL]]:
    """Copy a database to which nothing is connected; dropped when the `with` block ends."""
    admin = connect(postgres_url)

    @contextmanager
    def copy(url: URL) -> Iterator[URL]:
        assert url.database is not None
        name = f"pgmodern_{uuid.uuid4().hex}"
        names = sql.Identifier(name), sql.Identifier(url.database)
        # By the connection that is there: `databases.create` would open one for each copy.
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        admin.execute(create.format(*names))
        try:
            yield url.set(database=name)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(names[0]))

    return copy


@pytest.fixture
def clone(copied: Callable[[URL], AbstractContextManager[URL]]) -> Iterator[Callable[[URL], URL]]:
    """Copy a database to which nothing is connected; dropped when the test ends."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(copied(url))


@pytest.fixture
def pooled() -> Iterator[Callable[..., URL]]:
    """Return the way to a database through a PgBouncer in transaction mode."""
    if pgbouncer.COMMAND is None:
        pytest.skip("pgbouncer is not installed")
    with ExitStack() as stack:
        yield lambda url, **sizes: stack.enter_context(pgbouncer.started(url, **sizes))
