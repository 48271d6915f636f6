"""The server that tests run on: a container, the embedded one, or one that is named."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, String, bindparam, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern import embedded
from pgmodern.errors import SettingsError
from pgmodern.settings import parse_url
from pgmodern.testing import leftovers
from pgmodern.testing.claim import claimed, new_run

_TMPFS = "/pgmodern"
_HAS_SCRAM_ITERATIONS = "SELECT count(*) FROM pg_settings WHERE name = 'scram_iterations'"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which server the tests run on, and why that one."""

    server: str
    why: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server of tests, by its own database; `is_started` for them, and so ends with them.

    `run` is whose name databases are to have on a server that outlives the run.
    """

    url: URL
    is_started: bool = False
    run: str | None = None


def choose(
    asked: str, docker: Callable[[], str | None], named: tuple[URL | None, str] = (None, "")
) -> Choice:
    """Decide on the server: what was asked for, what the environment names, or one that is started.

    `docker` returns None when Docker answers, else what is wrong; `named` is of
    `settings.for_tests`.
    """
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
    url, why = named
    if url is not None:
        return Choice(url.render_as_string(hide_password=False), f"auto: {why}")
    problem = docker()
    reasons = "; ".join(filter(None, [problem or "Docker answers", why]))
    return Choice("embedded" if problem else "container", f"auto: {reasons}")


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


@contextmanager
def running(choice: Choice, image: str, root: Path, *, tmpfs: bool = False) -> Iterator[Server]:
    """Start the server that was chosen, for a superuser, or claim the one that is named.

    What runs left that were killed is removed first. `image` is the container's image, or its
    Dockerfile below `root`; with `tmpfs` its data is kept in memory. The embedded server stops when
    the process ends.
    """
    with ExitStack() as stack:
        if choice.server == "container":
            url = stack.enter_context(_container(image, root, tmpfs=tmpfs))
            yield Server(_hurried(url), is_started=True)
        elif choice.server == "embedded":
            leftovers.remove(Path(tempfile.gettempdir()))
            home = tempfile.mkdtemp(prefix=leftovers.PREFIX)
            leftovers.claim(Path(home))
            # Before the server starts: what is registered last runs first, and that stops it.
            atexit.register(shutil.rmtree, home, ignore_errors=True)
            yield Server(_hurried(embedded.start(Path(home), keep=False)), is_started=True)
        else:
            url = parse_url(choice.server)
            yield Server(url, run=stack.enter_context(claimed(url, new_run())))


def _hurried(server: URL) -> URL:
    """Have a server that is only the tests' hurry: its data ends with them.

    It waits for no disk and compresses no WAL: a database for every test is made and dropped. From
    PostgreSQL 16 on it hashes its password, which guards nothing, once and not 4,096 times: every
    test connects.
    """
    admin = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("fsync", "full_page_writes", "wal_compression"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        if server.password is not None and connection.scalar(text(_HAS_SCRAM_ITERATIONS)):
            connection.execute(text("SET scram_iterations = 1"))
            connection.execute(
                text("ALTER ROLE CURRENT_USER PASSWORD :password").bindparams(
                    bindparam("password", server.password, String, literal_execute=True)
                )
            )
    return server


@contextmanager
def _container(image: str, root: Path, *, tmpfs: bool) -> Iterator[URL]:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    with ExitStack() as stack:
        if (root / image).is_file():
            image = stack.enter_context(_built(root, image))
        container = PostgresContainer(image, driver=None)
        container.ports = {5432: ("127.0.0.1", None)}  # to this machine only
        if tmpfs:
            # Beside the image's own volume, which would cover what is mounted above it.
            container.with_env("PGDATA", f"{_TMPFS}/data").with_tmpfs_mount(_TMPFS)
        url = parse_url(stack.enter_context(container).get_connection_url(driver=None))
        yield url.set(host="127.0.0.1") if url.host == "localhost" else url


@contextmanager
def _built(root: Path, dockerfile: str) -> Iterator[str]:
    from testcontainers.core.image import DockerImage  # noqa: PLC0415

    built = DockerImage(root, dockerfile_path=dockerfile, clean_up=False)
    with built as image:
        yield str(image)
