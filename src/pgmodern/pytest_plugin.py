"""Fixtures that give each test a migrated PostgreSQL database of its own.

    def test_search(session):
        session.add(Artist(name="The Beatles"))
        session.flush()
        assert ArtistRepository(session).fuzzy("beetles")

`--postgres` chooses the server: `container`, `embedded`, a `postgresql://` URL, or `auto`, which
takes what `DATABASE_URL` names where CI sets it or where it leads to this machine, else a container
where Docker answers, and the embedded server elsewhere. Your migrations run once a session, into a
template; each test gets a clone of it. In `pytest.ini`:

    pgmodern_alembic_ini   the Alembic configuration (default: alembic.ini)
    pgmodern_image         the image, or the Dockerfile, of the container
    pgmodern_tmpfs         true: the container keeps its data in memory (default: false)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

    from pgmodern.testing.databases import ClonePool
    from pgmodern.testing.run import SharedRun

# pytest loads this file in every project beside which pgmodern is installed. So it imports nothing
# until a fixture is asked for.
# ruff: noqa: PLC0415

_SHARED_RUN: pytest.StashKey[SharedRun] = pytest.StashKey()
_ASKED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--postgres` and the ini options."""
    from pgmodern.testing import DEFAULT_IMAGE

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
    """Refuse a wrong `--postgres` before anything is collected."""
    if config.getoption("--postgres") != "auto":
        from pgmodern.testing import fixtures

        fixtures.choice(config)
        config.stash[_ASKED] = True


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which server was asked and why, where one was."""
    if _ASKED not in config.stash:
        return
    from pgmodern.settings import parse_url
    from pgmodern.testing import fixtures

    choice = fixtures.choice(config)
    name = choice.server if "://" not in choice.server else repr(parse_url(choice.server))
    terminalreporter.line(f"postgres: {name} ({choice.why})")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist on this machine where to ask for the run's server."""
    config = node.config
    if not node.gateway.spec.popen or not _may_ask(config):
        return  # a worker elsewhere has a run of its own
    if _SHARED_RUN not in config.stash:
        from pgmodern.testing.run import SharedRun

        _end_on_sigterm()
        config.stash[_SHARED_RUN] = SharedRun(lambda: _started(config))
    node.workerinput["pgmodern_address"] = config.stash[_SHARED_RUN].address
    node.workerinput["pgmodern_key"] = config.stash[_SHARED_RUN].key


def _may_ask(config: pytest.Config) -> bool:
    """Tell whether a test may ask for a database: the project has migrations, or names a server."""
    ini = config.rootpath / str(config.getini("pgmodern_alembic_ini"))
    return ini.exists() or config.getoption("--postgres") != "auto"


def _started(config: pytest.Config) -> Any:
    from pgmodern.testing import fixtures

    config.stash[_ASKED] = True
    return fixtures.own_run(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop the template, and stop a server that was started."""
    if (shared := config.stash.get(_SHARED_RUN, None)) is not None:
        shared.close()
    if _ASKED in config.stash:
        from pgmodern.testing import fixtures

        fixtures.close(config)


def _end_on_sigterm() -> None:
    """Have SIGTERM end the run as Ctrl-C does: what was started is stopped, and made is dropped."""
    import signal
    import threading

    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> URL:
    """The server's own database, as a superuser; databases are made beside it."""
    from pgmodern.testing import fixtures

    _end_on_sigterm()
    request.config.stash[_ASKED] = True
    return fixtures.current_run(request.config).server().url


@pytest.fixture(scope="session")
def template_database(postgres_url: URL, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a database at head of your migrations, from which tests are cloned."""
    from pgmodern.testing import fixtures

    yield from fixtures.template(request.config, postgres_url)


@pytest.fixture(scope="session")
def _empty_databases(postgres_url: URL, request: pytest.FixtureRequest) -> Iterator[ClonePool]:
    from pgmodern.testing import fixtures

    with fixtures.pool(request.config, postgres_url) as pool:
        yield pool


@pytest.fixture(scope="session")
def _clones(
    postgres_url: URL, template_database: str, request: pytest.FixtureRequest
) -> Iterator[ClonePool]:
    from pgmodern.testing import fixtures

    with fixtures.pool(request.config, postgres_url, template_database) as pool:
        yield pool


@pytest.fixture
def empty_database_url(_empty_databases: ClonePool) -> Iterator[URL]:
    """A new database with nothing in it."""
    from pgmodern.testing import fixtures

    yield from fixtures.taken(_empty_databases)


@pytest.fixture
def database_url(_clones: ClonePool) -> Iterator[URL]:
    """A migrated database that is this test's own."""
    from pgmodern.testing import fixtures

    yield from fixtures.taken(_clones)


@pytest.fixture
def engine(database_url: URL) -> Iterator[Engine]:
    """An engine on this test's database, as applications use it."""
    from pgmodern.testing import fixtures

    yield from fixtures.engine_of(database_url)


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on this test's database."""
    from pgmodern.testing import fixtures

    yield from fixtures.session_of(engine)


def _asynchronous(fixture: Callable[..., Any]) -> Any:
    """Make a fixture of an asynchronous generator, where pytest-asyncio is installed."""
    try:
        import pytest_asyncio  # an optional dependency
    except ImportError:
        return pytest.fixture(lambda: pytest.fail("install pytest-asyncio for this fixture"))
    return pytest_asyncio.fixture(fixture)


async def _async_engine(database_url: URL) -> AsyncIterator[AsyncEngine]:
    from pgmodern.testing import fixtures

    async for engine in fixtures.async_engine_of(database_url):
        yield engine


async def _async_session(async_engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    from pgmodern.testing import fixtures

    async for session in fixtures.async_session_of(async_engine):
        yield session


@pytest.fixture(scope="session")
def assert_uses_index() -> Callable[..., None]:
    """Fail unless what a read sends is served by indexes, whether its values are known or not.

        def test_search(session, assert_uses_index):
            products = ProductRepository(session)
            assert_uses_index(session, lambda: products.fuzzy("hedphones"), Product.name_trgm)

    PostgreSQL is asked for both plans of each statement (EXPLAIN, with the values and with
    GENERIC_PLAN). It chooses by size: where a test has but a few rows, `enable_seqscan=False` asks
    whether the index can serve the read at all, and the failure says where that is the cure. From
    asynchronous code: `session.run_sync`.
    """
    from pgmodern.testing.uses_index import assert_uses_index

    return assert_uses_index


async_engine = _asynchronous(_async_engine)
async_session = _asynchronous(_async_session)
