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
"""

import atexit
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, Index, text
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern import embedded
from pgmodern.engine import create_async_engine, create_engine
from pgmodern.errors import SettingsError
from pgmodern.indexes.catalogue import quoted
from pgmodern.queries.explain import in_whole, indexes_used, plans
from pgmodern.settings import parse_url

DEFAULT_IMAGE = "pgvector/pgvector:pg17"
_CHOICE = pytest.StashKey["Choice"]()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which server the tests run on, and why that one."""

    server: str
    why: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--postgres` and the two ini options."""
    parser.getgroup("pgmodern").addoption(
        "--postgres",
        default="auto",
        metavar="auto|container|embedded|URL",
        help="the PostgreSQL that tests run on (default: auto)",
    )
    parser.addini("pgmodern_alembic_ini", "the Alembic configuration", default="alembic.ini")
    parser.addini("pgmodern_image", "image or Dockerfile of the container", default=DEFAULT_IMAGE)


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


def choose(asked: str, docker: Callable[[], str | None]) -> Choice:
    """Decide on the server; `docker` returns None when Docker answers, else what is wrong."""
    if asked in {"container", "embedded"}:
        return Choice(asked, "--postgres says so")
    if asked != "auto":
        try:
            parse_url(asked)
        except SettingsError:
            raise pytest.UsageError(
                "--postgres takes auto, container, embedded or a postgresql:// URL"
            ) from None
        return Choice(asked, "--postgres says so")
    problem = docker()
    if problem is None:
        return Choice("container", "auto: Docker answers")
    return Choice("embedded", f"auto: {problem}")


def docker_answers() -> str | None:
    """Return None when a Docker engine answers, else why not."""
    try:
        import docker  # noqa: PLC0415  (comes with testcontainers, an optional dependency)
        import testcontainers  # noqa: F401, PLC0415
    except ImportError:
        return "testcontainers is not installed"
    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except docker.errors.DockerException:
        return "Docker does not answer"
    return None


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[URL]:
    """The server's own database, as a superuser; databases are made beside it."""
    server = _choice(request.config).server
    with ExitStack() as stack:
        if server == "container":
            image = request.config.getini("pgmodern_image")
            yield _hurried(stack.enter_context(_container(image, request.config.rootpath)))
        elif server == "embedded":
            home = tempfile.mkdtemp(prefix="pgmodern-")
            # Before the server starts: what is registered last runs first, and that stops it.
            atexit.register(shutil.rmtree, home, ignore_errors=True)
            yield _hurried(embedded.start(Path(home), keep=False))
        else:
            yield parse_url(server)


def _hurried(server: URL) -> URL:
    """Have a server that is only the tests' wait for no disk: its data ends with them.

    A database for every test is made and dropped, each with a checkpoint.
    """
    admin = sa_create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    return server


@contextmanager
def _container(image: str, root: Path) -> Iterator[URL]:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    with ExitStack() as stack:
        if (root / image).is_file():
            image = stack.enter_context(_built(root, image))
        container = PostgresContainer(image, driver=None)
        container.ports = {5432: ("127.0.0.1", None)}  # to this machine only
        url = parse_url(stack.enter_context(container).get_connection_url(driver=None))
        yield url.set(host="127.0.0.1") if url.host == "localhost" else url


@contextmanager
def _built(root: Path, dockerfile: str) -> Iterator[str]:
    from testcontainers.core.image import DockerImage  # noqa: PLC0415

    built = DockerImage(root, dockerfile_path=dockerfile, clean_up=False)
    with built as image:
        yield str(image)


@contextmanager
def _database(server: URL, template: str | None = None) -> Iterator[URL]:
    """Create a database, empty or a clone, and drop it in the end."""
    name = f"pgmodern_{uuid.uuid4().hex}"
    origin = f" TEMPLATE {quoted(template)}" if template else ""
    admin = sa_create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {quoted(name)}{origin}"))
    try:
        yield server.set(database=name)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {quoted(name)} WITH (FORCE)"))


@pytest.fixture
def empty_database_url(postgres_url: URL) -> Iterator[URL]:
    """A new database with nothing in it."""
    with _database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(postgres_url: URL, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a database at head of your migrations, from which tests are cloned."""
    ini = request.config.rootpath / str(request.config.getini("pgmodern_alembic_ini"))
    with _database(postgres_url) as url:
        migrate(url, ini)
        assert url.database is not None
        yield url.database


def migrate(url: URL, ini: Path, revision: str = "head") -> None:
    """Upgrade a database; nothing stays connected to it."""
    engine = sa_create_engine(url, poolclass=NullPool)
    command.upgrade(Config(ini, attributes={"connection": engine}), revision)


@pytest.fixture
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A migrated database that is this test's own."""
    with _database(postgres_url, template_database) as url:
        yield url


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
