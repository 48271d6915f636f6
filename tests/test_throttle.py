"""What a backfill makes way for: replicas, VACUUM, everybody else, and its own slow batches."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern import embedded
from pgmodern.backfill import Backfill, run
from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy
from pgmodern.testing.databases import database
from pgmodern.throttle import Load, Throttle, hindrance, load_of, rest
from tests.waiting import until

Connect = Callable[[URL], psycopg.Connection]
UPDATE = "UPDATE songs SET visits = visits + 1"
VISIT = Backfill("songs.visits", "songs", "id", "bigint", f"{UPDATE} WHERE {{range}}")
UNHINDERED = Throttle(rest=0, wal=None)


def _connection(url: URL) -> Connection:
    return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection as a backfill wants it, to a database with a table."""
    with _with_songs(empty_database_url) as connection:
        yield connection


@contextmanager
def _with_songs(url: URL) -> Iterator[Connection]:
    with _connection(url) as connection:
        connection.exec_driver_sql("CREATE TABLE songs (id bigint PRIMARY KEY, visits int)")
        connection.exec_driver_sql("INSERT INTO songs SELECT i, 0 FROM generate_series(1, 1200) i")
        yield connection


@pytest.fixture
def undisturbed(empty_database_url: URL, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """The same, on a server whose log nobody else writes."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with _with_songs(empty_database_url) as connection:
            yield connection
        return
    primary, _ = request.getfixturevalue("replicated")
    with database(primary) as url, _with_songs(url) as connection:
        yield connection


@given(st.floats(0, 0.9), st.floats(0, 100), st.integers(0, 10**12))
def test_the_rest_is_its_part_of_the_time_and_enough_for_the_wal(
    part: float, seconds: float, wal: int
) -> None:
    resting = rest(Throttle(rest=part, wal=64e6), seconds, wal)
    whole = seconds + resting
    longest = 5.0
    assert resting == longest or (resting >= part * whole - 1e-9 and wal <= 64e6 * whole + 1)
    assert resting <= longest
    assert rest(Throttle(rest=part, wal=None), seconds, wal) <= resting
    assert rest(UNHINDERED, seconds, wal) == 0


@pytest.mark.quick
@pytest.mark.parametrize(
    ("load", "found"),
    [
        (Load(0, 0, False), None),
        (Load(0, 10, False), None),
        (Load(0, 11, False), "a replica is 11 s behind"),
        (Load(0, 0, True), "VACUUM works on the table"),
        (Load(0, 11, True), "a replica is 11 s behind"),
    ],
)
def test_what_hinders_is_said(load: Load, found: str | None) -> None:
    assert hindrance(Throttle(), load) == found
    assert hindrance(Throttle(lag=None, vacuum=False), load) is None


def test_its_own_wal_is_seen(undisturbed: Connection) -> None:
    before = load_of(undisturbed, VISIT.relation)
    undisturbed.exec_driver_sql("UPDATE songs SET visits = 0")
    written = load_of(undisturbed, VISIT.relation).wal - before.wal
    assert 1200 * 40 < written < 10_000_000


def test_it_writes_no_faster_than_it_may(undisturbed: Connection) -> None:
    before, started = load_of(undisturbed, VISIT.relation).wal, time.monotonic()
    run(undisturbed, VISIT, throttle=Throttle(rest=0, wal=200e3))
    written = load_of(undisturbed, VISIT.relation).wal - before
    assert time.monotonic() - started > 0.8 * written / 200e3 > 0.2


def test_a_batch_that_takes_too_long_is_split_until_it_fits(connection: Connection) -> None:
    sleep = "CASE WHEN pg_sleep(0.001) IS NULL THEN 0 ELSE 0 END"
    slow = VISIT.statement.replace(" WHERE", f" + {sleep} WHERE")
    backfill = Backfill("slow", "songs", "id", "bigint", slow)
    assert run(connection, backfill, throttle=Throttle(rest=0, wal=None, batch=0.3)) == 1200
    found = connection.exec_driver_sql("SELECT DISTINCT visits FROM songs").all()
    assert [tuple(row) for row in found] == [(1,)]


def test_batches_are_as_long_as_they_should_be(connection: Connection) -> None:
    sleep = "CASE WHEN pg_sleep(0.001) IS NULL THEN 0 ELSE 0 END"
    slow = VISIT.statement.replace(" WHERE", f" + {sleep} WHERE")
    backfill = Backfill("short", "songs", "id", "bigint", slow)
    batches = "SELECT count(DISTINCT xmin::text) FROM songs"
    run(connection, backfill, throttle=Throttle(target=0.02, rest=0))
    assert int(connection.scalar(text(batches)) or 0) > 20
    connection.exec_driver_sql("UPDATE songs SET visits = 0")
    run(connection, backfill, throttle=Throttle(target=2, rest=0))
    assert int(connection.scalar(text(batches)) or 0) < 4


@pytest.mark.parametrize("wrong", [{"rest": 1}, {"rest": -0.1}, {"target": 0}, {"batch": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(MigrationError, match="rest is a part of the time"):
        Throttle(**wrong)  # type: ignore[arg-type]


def test_no_commit_of_a_batch_is_waited_for(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE songs ADD synchronous text")
    setting = "visits = visits + 1, synchronous = current_setting('synchronous_commit')"
    statement = f"UPDATE songs SET {setting} WHERE {{range}}"
    run(connection, Backfill("b", "songs", "id", "bigint", statement))
    found = connection.exec_driver_sql("SELECT DISTINCT visits, synchronous FROM songs").all()
    assert [tuple(row) for row in found] == [(1, "off")]
    assert connection.scalar(text("SHOW synchronous_commit")) == "on"


@pytest.mark.quick
def test_one_row_that_takes_too_long_is_an_error(connection: Connection) -> None:
    slow = VISIT.statement.replace(" WHERE", " FROM pg_sleep(1) WHERE")
    with pytest.raises(MigrationError, match="One row of songs"):
        run(
            connection,
            Backfill("slow", "songs", "id", "bigint", slow),
            throttle=Throttle(batch=0.02),
        )


@pytest.mark.quick
def test_it_pauses_while_vacuum_works_on_the_table(
    empty_database_url: URL,
    connection: Connection,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="pgmodern")
    connection.exec_driver_sql("DELETE FROM songs WHERE mod(id, 2) = 0")
    vacuum = connect(empty_database_url)
    # So slow that it still works when the first batch is over.
    vacuum.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1")
    vacuum.execute("SET vacuum_cost_page_hit = 10000; SET vacuum_cost_page_dirty = 10000")
    with ThreadPoolExecutor() as pool:
        working = pool.submit(vacuum.execute, "VACUUM songs")
        until(lambda: load_of(connection, VISIT.relation).vacuum, while_running=working)
        running = pool.submit(run, connection, VISIT, LockPolicy(), UNHINDERED)
        pauses = "pauses: VACUUM works on the table"
        until(lambda: pauses in caplog.text, while_running=running)
        vacuum.cancel()
        assert running.result(timeout=30) == 600


def test_a_vacuum_without_end_does_not_hold_it_up_for_ever(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgmodern.backfill.load_of", lambda *_: Load(0, 0, True))
    started = time.monotonic()
    assert run(connection, VISIT, LockPolicy(deadline=0.6), UNHINDERED) == 1200
    assert 1 < time.monotonic() - started < 10


@pytest.fixture(scope="module")
def replicated(binaries: Path) -> Iterator[tuple[URL, URL]]:
    """A server and its replica."""
    with tempfile.TemporaryDirectory(prefix="pgmodern-primary-") as home:
        primary = embedded.start(Path(home), keep=False)
        host, data = str(primary.query["host"]), Path(home) / "replica"
        owner = Path(host).owner()
        as_owner = ["runuser", "-u", owner, "--"] if owner != Path(home).owner() else []
        Path(home).chmod(0o777)
        base = [str(binaries / "pg_basebackup"), "-h", host, "-U", "postgres", "-R", "-c", "fast"]
        subprocess.run([*as_owner, *base, "-D", str(data)], check=True, capture_output=True)
        control = [*as_owner, str(binaries / "pg_ctl"), "-D", str(data), "-w", "-s"]
        options = f"-k {home} -c listen_addresses='' -c recovery_min_apply_delay=0"
        log = str(data / "replica.log")
        subprocess.run([*control, "-l", log, "-o", options, "start"], check=True)
        try:
            yield primary, primary.set(query={"host": home})
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True)


def test_it_pauses_while_a_replica_is_behind(
    replicated: tuple[URL, URL], connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pgmodern")
    primary, standby = replicated
    replica = connect(standby)
    with _with_songs(primary) as connection, ThreadPoolExecutor() as pool:
        replica.execute("SELECT pg_wal_replay_pause()")

        def lags() -> bool:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS beats (); DROP TABLE beats")
            return load_of(connection, VISIT.relation).lag >= 1

        until(lags)
        throttle = Throttle(rest=0, wal=None, lag=0.5)
        running = pool.submit(run, connection, VISIT, LockPolicy(), throttle)
        until(lambda: "s behind" in caplog.text, while_running=running)
        replica.execute("SELECT pg_wal_replay_resume()")
        assert running.result(timeout=30) == 1200
