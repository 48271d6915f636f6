"""Fixtures that give each test a migrated PostgreSQL database of its own.

    def test_search(session):
        session.add(Artist(name="The Beatles"))
        session.flush()
        assert ArtistRepository(session).fuzzy("beetles")

`--postgres` chooses the server: `container`, `embedded`, a `postgresql://` URL, or `auto`, which
takes a container where Docker answers and the embedded server elsewhere. Your migrations run once
a session, into a template; each test gets a clone of it. In `pytest.ini`:

    pgmodern_alembic_ini   the Alembic configuration (default: alembic.ini)
    pgmodern_image         the image, or the Dockerfile, of the container
    pgmodern_tmpfs         true: the container keeps its data in memory (default: false)
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, Index, text
from sqlalchemy import create_engine as create_stock_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern.engine import create_async_engine, create_engine
from pgmodern.queries.explain import in_whole, indexes_used, plans
from pgmodern.settings import parse_url
from pgmodern.testing.databases import ClonePool, drop
from pgmodern.testing.run import Run, SharedRun, WorkerRun, migrated
from pgmodern.testing.server import DEFAULT_IMAGE, Choice, choose, docker_answers, running

_CHOICE = pytest.StashKey[Choice]()
_RUN = pytest.StashKey[Run | WorkerRun]()
_SHARED_RUN = pytest.StashKey[SharedRun]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--postgres` and the ini options."""
    parser.getgroup("pgmodern").addoption(
        "--postgres",
        default="auto",
        metavar="auto|container|embedded|URL",
        help="the PostgreSQL that tests run on (default: auto)",
    )
    parser.addini("pgmodern_alembic_ini", "the Alembic configuration", default="alembic.ini")
    parser.addini("pgmodern_image", "image or Dockerfile of the container", default=DEFAULT_IMAGE)
    parser.addini("pgmodern_tmpfs", "the container's data is in memory", "bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Choose the server before anything is collected; later, where nothing says it is needed.

    The plugin is loaded wherever pgmodern is installed: a project without migrations must not
    wait for an answer of Docker's.
    """
    has_migrations = (config.rootpath / config.getini("pgmodern_alembic_ini")).exists()
    if has_migrations or config.getoption("--postgres") != "auto":
        _choice(config)


def _choice(config: pytest.Config) -> Choice:
    if _CHOICE not in config.stash:
        config.stash[_CHOICE] = choose(config.getoption("--postgres"), docker_answers)
    return config.stash[_CHOICE]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say in the header which server was chosen and why."""
    if _CHOICE not in config.stash:
        return None
    choice = config.stash[_CHOICE]
    name = choice.server if "://" not in choice.server else repr(parse_url(choice.server))
    return f"postgres: {name} ({choice.why})"


def _own_run(config: pytest.Config) -> Run:
    image = str(config.getini("pgmodern_image"))
    tmpfs = bool(config.getini("pgmodern_tmpfs"))
    return Run(lambda: running(_choice(config), image, config.rootpath, tmpfs=tmpfs))


def _run(config: pytest.Config) -> Run | WorkerRun:
    """Return the server and the template of the run; a worker of pytest-xdist asks for them."""
    if _RUN not in config.stash:
        given = getattr(config, "workerinput", {})
        config.stash[_RUN] = (
            WorkerRun(tuple(given["pgmodern_address"]), given["pgmodern_key"])
            if "pgmodern_address" in given
            else _own_run(config)
        )
    return config.stash[_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist on this machine where to ask for the run's server."""
    if _CHOICE not in node.config.stash or not node.gateway.spec.popen:
        return  # without migrations nobody will ask; a worker elsewhere has a run of its own
    stash = node.config.stash
    if _SHARED_RUN not in stash:
        stash[_SHARED_RUN] = SharedRun(_own_run(node.config))
    node.workerinput["pgmodern_address"] = stash[_SHARED_RUN].address
    node.workerinput["pgmodern_key"] = stash[_SHARED_RUN].key


def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop the template, and stop a server that was started."""
    for run in (config.stash.get(_SHARED_RUN, None), config.stash.get(_RUN, None)):
        if run is not None:
            run.close()


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> URL:
    """The server's own database, as a superuser; databases are made beside it."""
    return _run(request.config).server()


@pytest.fixture(scope="session")
def template_database(postgres_url: URL, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a database at head of your migrations, from which tests are cloned."""
    ini = request.config.rootpath / str(request.config.getini("pgmodern_alembic_ini"))
    if _is_ours(postgres_url, request.config):
        yield _run(request.config).template(lambda url: migrate(url, ini))
        return
    template = migrated(postgres_url, lambda url: migrate(url, ini))
    yield template
    drop(postgres_url, template)


def _is_ours(server: URL, config: pytest.Config) -> bool:
    """Tell whether a server is the run's: a conftest.py may name another one."""
    return _RUN in config.stash and config.stash[_RUN].server() == server


def migrate(url: URL, ini: Path, revision: str = "head") -> None:
    """Upgrade a database; nothing stays connected to it."""
    engine = create_stock_engine(url, poolclass=NullPool)
    command.upgrade(Config(ini, attributes={"connection": engine}), revision)


@contextmanager
def _pool(config: pytest.Config, server: URL, template: str | None = None) -> Iterator[ClonePool]:
    copy_files = _is_ours(server, config) and _choice(config).is_started
    pool = ClonePool(server, template, copy_files=copy_files)
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture(scope="session")
def _empty_databases(postgres_url: URL, request: pytest.FixtureRequest) -> Iterator[ClonePool]:
    with _pool(request.config, postgres_url) as pool:
        yield pool


@pytest.fixture(scope="session")
def _clones(
    postgres_url: URL, template_database: str, request: pytest.FixtureRequest
) -> Iterator[ClonePool]:
    with _pool(request.config, postgres_url, template_database) as pool:
        yield pool


@pytest.fixture
def empty_database_url(_empty_databases: ClonePool) -> Iterator[URL]:
    """A new database with nothing in it."""
    url = _empty_databases.take()
    yield url
    _empty_databases.give_back(url)


@pytest.fixture
def database_url(_clones: ClonePool) -> Iterator[URL]:
    """A migrated database that is this test's own."""
    url = _clones.take()
    yield url
    _clones.give_back(url)


@pytest.fixture
def engine(database_url: URL) -> Iterator[Engine]:
    """An engine on this test's database, as applications use it."""
    engine = create_engine(database_url, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on this test's database."""
    with Session(engine) as session:
        yield session


def _asynchronous(fixture: Callable[..., Any]) -> Any:
    """Make a fixture of an asynchronous generator, where pytest-asyncio is installed."""
    try:
        import pytest_asyncio  # noqa: PLC0415  (an optional dependency)
    except ImportError:
        return pytest.fixture(lambda: pytest.fail("install pytest-asyncio for this fixture"))
    return pytest_asyncio.fixture(fixture)


async def _async_engine(database_url: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(database_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


async def _async_session(async_engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(async_engine) as session:
        yield session


def _assert_uses_index(
    session: Session,
    read: Callable[[], object],
    *indexes: Index | str,
    enable_seqscan: bool = True,
) -> None:
    named = {str(index.name) if isinstance(index, Index) else index for index in indexes}
    if not enable_seqscan:
        session.execute(text("SET LOCAL enable_seqscan = off"))
    sent = plans(session, read)
    if not enable_seqscan:
        session.execute(text("SET LOCAL enable_seqscan = on"))
    for kind in ("custom", "generic"):
        each = [(plan.statement, getattr(plan, kind)) for plan in sent]
        used = [name for _, plan in each for name in indexes_used(plan)]
        found = in_whole(session, used)
        if not named <= found:
            shown = "\n\n".join(f"{sql}\n{json.dumps(plan, indent=1)}" for sql, plan in each)
            raise AssertionError(
                f"{', '.join(sorted(named - found))} is not in the {kind} plan, which uses "
                f"{', '.join(sorted(found)) or 'no index'}:\n{shown}"
            )


@pytest.fixture(scope="session")
def assert_uses_index() -> Callable[..., None]:
    """Fail unless what a read sends is served by indexes, whether its values are known or not.

        def test_search(session, assert_uses_index):
            products = ProductRepository(session)
            assert_uses_index(session, lambda: products.fuzzy("hedphones"), Product.name_trgm)

    PostgreSQL is asked for both plans of each statement (EXPLAIN, with the values and with
    GENERIC_PLAN). It chooses by size: where a test has but a few rows, `enable_seqscan=False` asks
    whether the index can serve the read at all. From asynchronous code: `session.run_sync`.
    """
    return _assert_uses_index


async_engine = _asynchronous(_async_engine)
async_session = _asynchronous(_async_session)
