"""One runner at a time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from pgmodern import runner
from pgmodern.errors import DatabaseUnavailable
from pgmodern.runner import after_the_last, alone, holder, require_alone
from tests.waiting import until

Connect = Callable[[URL], psycopg.Connection]
StartAlembic = Callable[..., subprocess.Popen[str]]
Dump = Callable[..., str]


@pytest.fixture
def engine(empty_database_url: URL) -> Iterator[Engine]:
    """An engine with one connection to give, and that one given."""
    engine = create_engine(empty_database_url, pool_size=1, max_overflow=0, pool_timeout=1)
    with engine.connect():
        yield engine
    engine.dispose()


def test_the_second_waits_until_the_first_has_ended(engine: Engine) -> None:
    order: list[str] = []

    def run() -> None:
        with alone(engine):
            order.append("second")

    with ThreadPoolExecutor() as pool:
        with alone(engine):
            second = pool.submit(run)
            time.sleep(0.5)
            order.append("first")
        second.result(timeout=10)
    assert order == ["first", "second"]


def test_a_waiter_says_for_whom_and_holds_no_snapshot(
    engine: Engine, caplog: pytest.LogCaptureFixture, empty_database_url: URL, connect: Connect
) -> None:
    caplog.set_level("INFO", logger="pgmodern")
    observer = connect(empty_database_url)
    with ThreadPoolExecutor() as pool:
        with alone(engine) as first:
            pid = first.info.backend_pid
            assert f"pid {pid} " in str(holder(first))
            second = pool.submit(lambda: alone(engine).__enter__())
            until(lambda: "waiting for another migration" in caplog.text)
            time.sleep(0.2)
            found = observer.execute(
                "SELECT count(*) FILTER (WHERE backend_xmin IS NOT NULL OR xact_start IS NOT NULL),"
                " count(*) FROM pg_stat_activity WHERE application_name = 'pgmodern runner' "
                "AND datname = current_database()"
            ).fetchone()
            assert found == (0, 2)
        second.result(timeout=10)
    assert f"pid {pid} (pgmodern runner, user " in caplog.text


def test_another_database_is_another_migration(engine: Engine, database_url: URL) -> None:
    other = create_engine(database_url, poolclass=NullPool)
    with alone(engine), alone(other):
        pass


def test_an_application_s_own_advisory_locks_are_in_nobody_s_way(
    engine: Engine, empty_database_url: URL, connect: Connect
) -> None:
    application = connect(empty_database_url)
    key = (runner._SPACE << 32) + runner._RUNNER  # as one number what we lock as two
    application.execute("SELECT pg_advisory_lock(%s)", [key])
    with alone(engine) as connection:
        found = holder(connection)
        assert found is not None
        assert found.pid == connection.info.backend_pid


def test_the_session_of_a_killed_runner_is_waited_for(
    engine: Engine, empty_database_url: URL, connect: Connect
) -> None:
    dying = create_engine(empty_database_url, poolclass=NullPool).connect()
    mine = create_engine(empty_database_url, poolclass=NullPool).connect()
    entered: list[float] = []

    def run() -> None:
        with alone(engine), after_the_last(mine):
            entered.append(time.monotonic())

    with ThreadPoolExecutor() as pool:
        with after_the_last(dying):
            running = pool.submit(run)
            time.sleep(0.5)
            assert not entered
        running.result(timeout=10)
    assert not mine.in_transaction()
    left = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert connect(empty_database_url).execute(left).fetchone() == (0,)
    dying.close()
    mine.close()


@pytest.mark.quick
def test_a_lost_lock_ends_the_run(
    engine: Engine, empty_database_url: URL, connect: Connect
) -> None:
    with alone(engine) as runner:
        require_alone(runner)
        pid = runner.info.backend_pid
        connect(empty_database_url).execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(DatabaseUnavailable, match="other migrations"):
            require_alone(runner)


def test_it_outlives_an_idle_session_timeout(empty_database_url: URL, connect: Connect) -> None:
    name = f'"{empty_database_url.database}"'
    connect(empty_database_url).execute(
        f"ALTER DATABASE {name} SET idle_session_timeout = '100ms'".encode()
    )
    with alone(create_engine(empty_database_url, poolclass=NullPool)) as runner:
        time.sleep(0.4)
        require_alone(runner)


@pytest.mark.quick
def test_a_server_that_is_away_is_said() -> None:
    engine = create_engine("postgresql+psycopg://ann:geheim@127.0.0.1:1/db")
    with pytest.raises(DatabaseUnavailable) as raised, alone(engine):
        pass
    assert "geheim" not in str(raised.value)
    assert isinstance(raised.value.__cause__, OperationalError | psycopg.Error)


def test_a_killed_runner_frees_the_lock_in_under_a_second(
    empty_database_url: URL, engine: Engine
) -> None:
    url = empty_database_url.render_as_string(hide_password=False)
    hold = (
        "import sqlalchemy, sys, time; from pgmodern.runner import alone\n"
        "with alone(sqlalchemy.create_engine(sys.argv[1])): print('held', flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        os.kill(process.pid, signal.SIGKILL)
        killed = time.monotonic()
        with alone(engine):
            assert time.monotonic() - killed < 1


def test_of_many_deploys_at_once_one_applies_and_all_succeed(
    empty_database_url: URL,
    database_url: URL,
    legacy_schema: str,
    connect: Connect,
    start_alembic: StartAlembic,
    dump: Dump,
) -> None:
    database = connect(empty_database_url)
    database.execute(legacy_schema.encode())
    database.execute(
        "INSERT INTO artists (name) SELECT md5(i::text) FROM generate_series(1, 9000) i"
    )
    deploys = [start_alembic("upgrade", "head", url=empty_database_url) for _ in range(4)]
    appliers = 0
    for process in deploys:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        appliers += "Running upgrade" in stderr
    assert appliers == 1
    assert dump(empty_database_url) == dump(database_url)
