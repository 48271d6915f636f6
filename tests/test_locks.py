"""Bounded waiting: who waits for whom, and for how long."""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import UndefinedColumn
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.errors import MigrationError
from pgmodern.locks import (
    LockPolicy,
    bound,
    execute_briefly,
    patience,
    patiently,
    pauses,
    transaction,
)
from tests.waiting import until_found

Connect = Callable[[URL], psycopg.Connection]
Blocked = Callable[[URL], int]
ALTER = "ALTER TABLE songs ADD COLUMN album text"
EAGER = LockPolicy(timeout=0.2, deadline=30, first_pause=0.05, longest_pause=0.1)
MARGIN = 1.0


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection as `execute_briefly` wants it, to a database with a table."""
    engine = create_engine(empty_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE songs (id int, title text)")
        connection.exec_driver_sql("INSERT INTO songs VALUES (1, 'Waterloo'), (2, 'Fernando')")
        yield connection


@pytest.fixture
def application(
    empty_database_url: URL, connection: Connection, connect: Connect
) -> psycopg.Connection:
    """Another connection to the same database."""
    return connect(empty_database_url)


def columns(application: psycopg.Connection) -> set[str]:
    """Return the names of the table's columns."""
    cursor = application.execute("SELECT * FROM songs LIMIT 0")
    return {column.name for column in cursor.description or ()}


policies = st.builds(
    LockPolicy, first_pause=st.floats(0.001, 100), longest_pause=st.floats(0.001, 100)
)


@given(policies, st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=40))
def test_pauses_double_up_to_the_longest_with_half_of_each_at_random(
    policy: LockPolicy, jitters: list[float]
) -> None:
    jitter = iter(jitters)
    found = itertools.islice(pauses(policy, lambda: next(jitter)), len(jitters))
    wanted = policy.first_pause
    for pause, random in zip(found, jitters, strict=True):
        assert wanted / 2 <= pause <= wanted
        assert pause == wanted * (0.5 + random / 2)
        wanted = min(wanted * 2, policy.longest_pause)


def test_statements_are_one_transaction(
    connection: Connection, application: psycopg.Connection
) -> None:
    with pytest.raises(UndefinedColumn):
        execute_briefly(connection, ALTER, "ALTER TABLE songs DROP COLUMN nothing")
    assert columns(application) == {"id", "title"}
    execute_briefly(connection, ALTER, "ALTER TABLE songs DROP COLUMN title")
    assert columns(application) == {"id", "album"}


def test_percent_signs_and_colons_are_left_alone(
    connection: Connection, application: psycopg.Connection
) -> None:
    execute_briefly(connection, "COMMENT ON TABLE songs IS '100 %s :of {it} %(x)s \\'")
    comment = application.execute("SELECT obj_description('songs'::regclass)").fetchone()
    assert comment == ("100 %s :of {it} %(x)s \\",)


def test_the_timeout_is_gone_afterwards(connection: Connection) -> None:
    connection.exec_driver_sql("SET lock_timeout = '7s'")
    execute_briefly(connection, ALTER, policy=EAGER)
    assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "7s"


def test_it_succeeds_once_the_lock_is_released(
    empty_database_url: URL,
    connection: Connection,
    application: psycopg.Connection,
    blocked: Blocked,
) -> None:
    with ThreadPoolExecutor() as pool:
        with application.transaction():
            application.execute("SELECT * FROM songs")
            altering = pool.submit(execute_briefly, connection, ALTER, policy=EAGER)
            blocked(empty_database_url)
            assert not altering.done()
        altering.result()
    assert "album" in columns(application)


def test_others_queue_behind_it_no_longer_than_the_timeout(
    empty_database_url: URL,
    connection: Connection,
    application: psycopg.Connection,
    connect: Connect,
    blocked: Blocked,
) -> None:
    reader, stalls = connect(empty_database_url), []
    with ThreadPoolExecutor() as pool:
        with application.transaction():
            application.execute("SELECT * FROM songs")
            altering = pool.submit(execute_briefly, connection, ALTER, policy=EAGER)
            for _ in range(4):
                blocked(empty_database_url)
                started = time.monotonic()
                reader.execute("SELECT * FROM songs")
                stalls.append(time.monotonic() - started)
        altering.result()
    assert max(stalls) < EAGER.timeout + MARGIN
    assert max(stalls) > 0.01, "no reader ever queued behind the statement"


def test_it_gives_up_at_the_deadline_and_says_what_to_look_for(
    connection: Connection, application: psycopg.Connection
) -> None:
    policy = LockPolicy(timeout=0.05, deadline=0.3, first_pause=0.01, longest_pause=0.05)
    with application.transaction():
        application.execute("SELECT * FROM songs")
        started = time.monotonic()
        with pytest.raises(MigrationError, match="pg_stat_activity") as caught:
            execute_briefly(connection, ALTER, policy=policy)
        assert time.monotonic() - started < policy.deadline + policy.timeout + MARGIN
    assert ALTER in str(caught.value)
    assert columns(application) == {"id", "title"}
    assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_timeout_below_a_millisecond_is_not_forever(
    connection: Connection, application: psycopg.Connection
) -> None:
    policy = LockPolicy(timeout=0.0001, deadline=0.2, first_pause=0.01)
    connection.exec_driver_sql("SET statement_timeout = '5s'")
    with application.transaction():
        application.execute("SELECT * FROM songs")
        with pytest.raises(MigrationError):
            execute_briefly(connection, ALTER, policy=policy)


def test_a_deadlock_is_tried_again(
    empty_database_url: URL,
    connection: Connection,
    application: psycopg.Connection,
    blocked: Blocked,
) -> None:
    connection.exec_driver_sql("CREATE TABLE others ()")
    connection.exec_driver_sql("SET deadlock_timeout = '50ms'")
    application.execute("SET deadlock_timeout = '60s'")
    patient = LockPolicy(timeout=30, first_pause=0.01)
    statements = (ALTER, "ALTER TABLE others ADD COLUMN album text")
    with ThreadPoolExecutor() as pool:
        with application.transaction():
            application.execute("LOCK TABLE others IN ACCESS SHARE MODE")
            altering = pool.submit(execute_briefly, connection, *statements, policy=patient)
            blocked(empty_database_url)
            application.execute("SELECT * FROM songs")
        altering.result()
    assert "album" in columns(application)


def test_a_forced_rollback_leaves_nothing(
    connection: Connection, application: psycopg.Connection
) -> None:
    with transaction(connection, roll_back=True):
        connection.exec_driver_sql(ALTER)
    assert "album" not in columns(application)


def test_what_was_waited_for_is_counted_once_however_the_waits_nest(
    empty_database_url: URL,
    connection: Connection,
    application: psycopg.Connection,
    connect: Connect,
    blocked: Blocked,
) -> None:
    def build() -> None:
        def attempt(_: float) -> None:
            with patience(connection):
                execute_briefly(connection, ALTER)

        patiently(connection, "a build", attempt)

    policy = LockPolicy(timeout=0.15, deadline=30, first_pause=0.01, longest_pause=0.01)
    with (
        bound(connection, policy, connect(empty_database_url)) as held,
        ThreadPoolExecutor() as pool,
    ):
        with application.transaction():
            application.execute("SELECT * FROM songs")
            started, building = time.monotonic(), pool.submit(build)
            blocked(empty_database_url)
            time.sleep(2)
        building.result()
        elapsed = time.monotonic() - started
    (seconds,) = held.waited.values()
    assert 0.5 < seconds <= elapsed


@pytest.fixture
def eager_autovacuum(postgres_url: URL, connect: Connect) -> Iterator[None]:
    """Have autovacuum look for work every second rather than every minute."""
    admin = connect(postgres_url)
    for setting in ("SET autovacuum_naptime = '1s'", "RESET autovacuum_naptime"):
        admin.execute(f"ALTER SYSTEM {setting}".encode())
        admin.execute("SELECT pg_reload_conf()")
        if setting.startswith("SET"):
            yield


@pytest.mark.usefixtures("eager_autovacuum")
def test_an_autovacuum_in_the_way_is_waited_for_until_it_yields(
    empty_database_url: URL,
    connection: Connection,
    application: psycopg.Connection,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="pgmodern")
    application.execute(
        "ALTER TABLE songs SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_cost_limit = 1,"
        " autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100)"
    )
    application.execute("INSERT INTO songs SELECT i, md5(i::text) FROM generate_series(1, 90000) i")
    application.execute("UPDATE songs SET title = ''")
    working = (
        "SELECT pid FROM pg_stat_progress_vacuum "
        "WHERE datname = current_database() AND relid = 'songs'::regclass"
    )
    until_found(application, working, seconds=60)  # autovacuum comes by the clock
    with bound(connection, LockPolicy(timeout=0.3, deadline=20), connect(empty_database_url)):
        execute_briefly(connection, ALTER)
    assert "autovacuum: VACUUM" in caplog.text
    assert "album" in columns(application)
