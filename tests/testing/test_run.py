"""A run's server and template: made once, by whoever asks first, and gone in the end."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import DatabaseUnavailable, PgmodernError, SettingsError
from pgmodern.testing.claim import new_run
from pgmodern.testing.run import Run, SharedRun, WorkerRun
from pgmodern.testing.server import Server
from tests.kills import libpq


class Starts:
    """Counts how often a server is started and stopped."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.server = Server(url, run=new_run())
        self.events: list[str] = []

    def __call__(self) -> AbstractContextManager[Server]:
        """Start it."""
        return self._running()

    @contextmanager
    def _running(self) -> Iterator[Server]:
        self.events.append("started")
        yield self.server
        self.events.append("stopped")


@pytest.fixture
def server(postgres_url: URL) -> Starts:
    """The server of these tests, which is not really started."""
    return Starts(postgres_url)


def migrate(url: URL) -> None:
    """Stand for a user's migrations."""
    with psycopg.connect(libpq(url)) as connection:
        connection.execute("CREATE TABLE songs (id int)")


def exists(server: URL, name: str) -> bool:
    """Tell whether a database is there."""
    with psycopg.connect(libpq(server)) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        return connection.execute(query, [name]).fetchone() is not None


def test_a_run_starts_and_migrates_once_and_leaves_nothing(server: Starts) -> None:
    run = Run(server)
    assert server.events == []
    template = run.template(migrate)
    assert run.template(migrate) == template
    assert run.server() == server.server
    assert server.events == ["started"]
    run.close()
    assert server.events == ["started", "stopped"]
    assert not exists(server.url, template)


def test_a_run_of_which_nothing_was_asked_starts_nothing(server: Starts) -> None:
    Run(server).close()
    assert server.events == []


def test_workers_share_a_server_and_a_template(server: Starts) -> None:
    shared = SharedRun(lambda: Run(server))
    workers = [WorkerRun(shared.address, shared.key) for _ in range(4)]
    migrated: list[URL] = []

    def migrate_once(url: URL) -> None:
        migrated.append(url)
        migrate(url)

    def ask(worker: WorkerRun) -> tuple[Server, str]:
        return worker.server(), worker.template(migrate_once)

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(ask, workers))
    assert {asked for asked, _ in answers} == {server.server}
    assert server.events == ["started"]
    (original,) = migrated
    assert original.database is not None
    clones = {template for _, template in answers}
    assert len(clones) == len(workers)  # a fixture of a user's may fill its own
    assert original.database not in clones
    for template in clones:
        with psycopg.connect(libpq(server.url.set(database=template))) as connection:
            connection.execute("SELECT FROM songs")
    for worker in workers:
        worker.close()
    assert not any(exists(server.url, template) for template in clones)
    assert exists(server.url, original.database)
    shared.close()
    assert server.events == ["started", "stopped"]
    assert not exists(server.url, original.database)


def test_a_worker_that_fails_to_migrate_leaves_it_to_the_next(server: Starts) -> None:
    shared = SharedRun(lambda: Run(server))
    failing, working = (WorkerRun(shared.address, shared.key) for _ in range(2))
    seen: list[URL] = []

    def fail(url: URL) -> None:
        seen.append(url)
        raise ValueError("a revision fails")

    with pytest.raises(ValueError, match="a revision fails"):
        failing.template(fail)
    assert not exists(server.url, seen[0].database or "")
    assert exists(server.url, working.template(migrate))
    working.close()
    shared.close()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SettingsError("Nothing is named.", "Name it."), "Nothing is named.\nName it."),
        (RuntimeError("no engine"), "The server did not start: no engine\nMend what it says."),
    ],
)
def test_a_server_that_does_not_start_is_each_worker_s_error(
    error: Exception, expected: str
) -> None:
    def start() -> AbstractContextManager[Server]:
        raise error

    shared = SharedRun(lambda: Run(start))
    for _ in range(2):
        with pytest.raises(PgmodernError) as raised:
            WorkerRun(shared.address, shared.key).server()
        assert str(raised.value) == expected
        assert isinstance(raised.value, SettingsError | DatabaseUnavailable)
    shared.close()


def test_who_has_not_the_key_is_answered_nothing(server: Starts) -> None:
    shared = SharedRun(lambda: Run(server))
    with pytest.raises(Exception, match="digest"):
        WorkerRun(shared.address, b"guessed").server()
    assert WorkerRun(shared.address, shared.key).server() == server.server
    shared.close()
