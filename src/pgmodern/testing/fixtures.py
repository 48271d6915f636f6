"""What the fixtures of `pgmodern.pytest_plugin` do; imported when the first is asked for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine
from sqlalchemy import create_engine as create_stock_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern import settings
from pgmodern.engine import create_async_engine, create_engine
from pgmodern.errors import SettingsError
from pgmodern.testing.claim import claimed, new_run
from pgmodern.testing.databases import ClonePool, drop
from pgmodern.testing.run import Run, WorkerRun, migrated
from pgmodern.testing.server import Choice, Server, choose, docker_answers, running

_CHOICE = pytest.StashKey[Choice]()
_RUN = pytest.StashKey[Run | WorkerRun]()


def choice(config: pytest.Config) -> Choice:
    """Return which server the run is on; decide on it when that is first asked."""
    if _CHOICE not in config.stash:
        asked = config.getoption("--postgres")
        config.stash[_CHOICE] = choose(asked, docker_answers, settings.for_tests())
    return config.stash[_CHOICE]


def own_run(config: pytest.Config) -> Run:
    """Return a run of this process's own, of which nothing is started yet."""
    image = str(config.getini("pgmodern_image"))
    tmpfs = bool(config.getini("pgmodern_tmpfs"))
    return Run(lambda: running(choice(config), image, config.rootpath, tmpfs=tmpfs))


def current_run(config: pytest.Config) -> Run | WorkerRun:
    """Return the server and the template of the run; a worker of pytest-xdist asks for them."""
    if _RUN not in config.stash:
        given = getattr(config, "workerinput", {})
        config.stash[_RUN] = (
            WorkerRun(tuple(given["pgmodern_address"]), given["pgmodern_key"])
            if "pgmodern_address" in given
            else own_run(config)
        )
    return config.stash[_RUN]


def close(config: pytest.Config) -> None:
    """Drop the template, and stop a server that was started for this process."""
    if (run := config.stash.get(_RUN, None)) is not None:
        run.close()


def template(config: pytest.Config, url: URL) -> Iterator[str]:
    """Give the name of a migrated database of the server's, from which tests are cloned."""
    ini = config.rootpath / str(config.getini("pgmodern_alembic_ini"))
    if _is_the_run_s(url, config):
        yield current_run(config).template(lambda made: migrate(made, ini))
        return
    with _server(config, url) as server:
        name = migrated(server, lambda made: migrate(made, ini))
        yield name
        drop(url, name)


def _is_the_run_s(url: URL, config: pytest.Config) -> bool:
    """Tell whether a server is that of the run: a conftest.py may name another one."""
    return _RUN in config.stash and config.stash[_RUN].server().url == url


@contextmanager
def _server(config: pytest.Config, url: URL) -> Iterator[Server]:
    """Give the server of the run, or another one, claimed for this process."""
    if _is_the_run_s(url, config):
        yield config.stash[_RUN].server()
        return
    with claimed(url, new_run()) as run:
        yield Server(url, run=run)


def migrate(url: URL, ini: Path, revision: str = "head") -> None:
    """Upgrade a database; nothing stays connected to it."""
    # Of the workers of pytest-xdist but one needs Alembic.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    engine = create_stock_engine(url, poolclass=NullPool)
    attributes = {"connection": engine, "driver": _driver()}
    command.upgrade(Config(ini, attributes=attributes), revision)


def _driver() -> str:
    """Return the driver that the application's URL names, for which its revisions are written."""
    try:
        return settings.read().driver
    except SettingsError:  # of a database that tests do not ask for
        return settings.DRIVERS[0]


@contextmanager
def pool(config: pytest.Config, url: URL, template: str | None = None) -> Iterator[ClonePool]:
    """Make databases ahead of the tests that ask, empty or clones of a template."""
    with _server(config, url) as server:
        clones = ClonePool(url, template, copy_files=server.is_started, run=server.run)
        try:
            yield clones
        finally:
            clones.close()


def taken(clones: ClonePool) -> Iterator[URL]:
    """Give a database to one test."""
    url = clones.take()
    yield url
    clones.give_back(url)


def engine_of(url: URL) -> Iterator[Engine]:
    """Give an engine as applications have it."""
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


async def async_engine_of(url: URL) -> AsyncIterator[AsyncEngine]:
    """Give its asynchronous twin."""
    engine = create_async_engine(url, poolclass=NullPool)
    yield engine
    await engine.dispose()


def session_of(engine: Engine) -> Iterator[Session]:
    """Give a session on an engine."""
    with Session(engine) as session:
        yield session


async def async_session_of(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Give its asynchronous twin."""
    async with AsyncSession(engine) as session:
        yield session
