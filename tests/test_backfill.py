"""Backfills: each row is visited once, whatever kills them and wherever."""

import itertools
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import CheckViolation, QueryCanceled
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.backfill import (
    LARGEST,
    SMALLEST,
    Backfill,
    next_size,
    offline,
    run,
)
from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy
from pgmodern.unfinished import STATE
from tests.kills import operation_begins, run_doomed
from tests.waiting import until, until_found

Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

VISIT = Backfill(
    "songs.visits", "songs", "id", "bigint", "UPDATE songs SET visits = visits + 1 WHERE {range}"
)

ONCE = [(1,)]
VISITS = "SELECT DISTINCT visits FROM songs"


def create_songs(
    database: psycopg.Connection, keys: str = "generate_series(1, 2000)", type_: str = "bigint"
) -> None:
    """Create a table whose rows count the visits of a backfill."""
    database.execute(f"CREATE TABLE songs (id {type_} PRIMARY KEY, visits int DEFAULT 0)".encode())
    database.execute(f"INSERT INTO songs (id) SELECT {keys}".encode())


def state(database: psycopg.Connection) -> list[tuple[str, str]] | None:
    """Return the name and last key of each unfinished backfill; None without a state table."""
    if database.execute("SELECT to_regclass(%s)", [STATE]).fetchone() == (None,):
        return None
    begun = f"SELECT name, last_key FROM {STATE} WHERE last_key IS NOT NULL ORDER BY name"
    rows = database.execute(begun.encode())
    return [(str(name), str(key)) for name, key in rows]


@pytest.fixture
def database(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """A connection that looks at what a backfill did."""
    return connect(empty_database_url)


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection as a backfill wants it."""
    engine = create_engine(empty_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


sizes = st.integers(SMALLEST, LARGEST)
durations = st.floats(0, 1e6)


@given(sizes, durations)
def test_a_size_stays_in_bounds_and_changes_by_half_or_double_at_most(
    size: int, seconds: float
) -> None:
    after = next_size(size, seconds, 0.25)
    assert SMALLEST <= after <= LARGEST
    assert size // 2 <= after <= size * 2 or after == SMALLEST


@given(sizes, durations, durations)
def test_a_slower_batch_never_makes_the_next_one_larger(
    size: int, seconds: float, longer: float
) -> None:
    fast, slow = sorted((seconds, longer))
    assert next_size(size, slow, 0.25) <= next_size(size, fast, 0.25)


@given(sizes, st.floats(1e-6, 1e-2))
def test_a_steady_speed_is_found(size: int, seconds_per_row: float) -> None:
    for _ in range(20):
        size = next_size(size, size * seconds_per_row, 0.25)
    assert size in {SMALLEST, LARGEST} or 0.24 < size * seconds_per_row < 0.26


@pytest.mark.parametrize(
    ("type_", "keys"),
    [
        ("bigint", "generate_series(-900, 900, 3)"),
        ("bigint", "unnest('{-9223372036854775808,0,9223372036854775807}'::bigint[])"),
        ("integer", "generate_series(1, 501)"),
        ("uuid", "gen_random_uuid() FROM generate_series(1, 1700)"),
        ("text", "md5(i::text) || 'é' FROM generate_series(1, 1700) AS i"),
        ("text", "unnest(ARRAY['', ' ', '''', 'a\\b', 'a\\', '%s', '%', ':x', '{range}', 'É'])"),
        ('text COLLATE "C"', "chr(i) || ':''\\%' FROM generate_series(1, 1500) AS i"),
        ("numeric", "i / 7.0 FROM generate_series(1, 700) AS i"),
        ("timestamptz", "now() + i * interval '1 microsecond' FROM generate_series(1, 700) AS i"),
        ("date", "current_date + i FROM generate_series(1, 700) AS i"),
    ],
)
def test_each_row_is_visited_once_for_any_type_of_key(
    database: psycopg.Connection, connection: Connection, type_: str, keys: str
) -> None:
    create_songs(database, keys, type_)
    backfill = Backfill("b", "songs", "id", type_.partition(" ")[0], VISIT.statement)
    assert (run(connection, backfill),) == database.execute("SELECT count(*) FROM songs").fetchone()
    assert database.execute(VISITS).fetchall() == ONCE
    assert state(database) is None


def test_an_empty_table_is_done_at_once(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database, "generate_series(1, 0)")
    assert run(connection, VISIT) == 0
    assert state(database) is None


def test_a_backfill_can_be_run_again_from_the_start(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database)
    assert run(connection, VISIT) == run(connection, VISIT) == 2000
    assert database.execute(VISITS).fetchall() == [(2,)]


def test_odd_names_are_quoted(database: psycopg.Connection, connection: Connection) -> None:
    database.execute('CREATE TABLE "Odd ""%s: {table}" ("the Key" int PRIMARY KEY, visits int)')
    database.execute('INSERT INTO "Odd ""%s: {table}" SELECT generate_series(1, 900), 0')
    statement = 'UPDATE "Odd ""%s: {table}" SET visits = visits + 1 WHERE {range}'
    backfill = Backfill("it's :odd %s", 'Odd "%s: {table}', "the Key", "int", statement)
    assert run(connection, backfill) == 900
    visits = database.execute('SELECT DISTINCT visits FROM "Odd ""%s: {table}"')
    assert visits.fetchall() == ONCE


def test_a_statement_may_hold_percent_signs_colons_and_braces(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database, "generate_series(1, 3)")
    database.execute("ALTER TABLE songs ADD said text")
    statement = "UPDATE songs SET said = '%s :said %(x)s {} {0} {said} \\' || (7 % 4)::text"
    run(connection, Backfill("b", "songs", "id", "bigint", statement + " WHERE {range}"))
    said = database.execute("SELECT DISTINCT said FROM songs").fetchall()
    assert said == [("%s :said %(x)s {} {0} {said} \\3",)]


def test_rows_that_come_meanwhile_are_visited_once_if_they_come_between(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database, "generate_series(2, 4000, 2)")
    database.execute(
        "CREATE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO songs (id) SELECT max(id) + 1 FROM songs WHERE visits = 1"
        " ON CONFLICT DO NOTHING; RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER t AFTER UPDATE ON songs EXECUTE FUNCTION arrive()")
    assert run(connection, VISIT) > 2000
    missed = database.execute("SELECT min(id), max(visits) FROM songs WHERE visits <> 1")
    assert missed.fetchone() == (4001, 0)


def test_rows_that_never_cease_to_come_do_not_keep_it_from_ending(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database)
    database.execute(
        "CREATE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT max(id) > 2100 FROM songs) THEN RAISE 'endless'; END IF;"
        " INSERT INTO songs (id) SELECT max(id) + 1 FROM songs; RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER t AFTER UPDATE ON songs EXECUTE FUNCTION arrive()")
    assert run(connection, VISIT) == 2000
    assert database.execute(VISITS + " WHERE id <= 2000").fetchall() == ONCE


@pytest.mark.parametrize("by_script", [False, True])
def test_a_statement_that_changes_the_key_visits_each_row_once_and_ends(
    empty_database_url: URL,
    database: psycopg.Connection,
    connection: Connection,
    psql: Psql,
    by_script: bool,
) -> None:
    create_songs(database)
    database.execute("ALTER TABLE songs ADD CHECK (visits < 3)")
    statement = "UPDATE songs SET id = id + 2000, visits = visits + 1 WHERE {range}"
    backfill = Backfill("b", "songs", "id", "bigint", statement)
    if by_script:
        done = psql(empty_database_url, f"{offline(backfill)};")
        assert done.returncode == 0, done.stderr
    else:
        assert run(connection, backfill) == 2000
    assert database.execute(VISITS).fetchall() == ONCE


def test_one_that_goes_on_ends_where_it_would_have_and_knows_what_is_left(
    database: psycopg.Connection, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_songs(database)
    database.execute("ANALYZE songs")
    database.execute("ALTER TABLE songs ADD CONSTRAINT c CHECK (id <= 500 OR visits = 0)")
    with pytest.raises(CheckViolation):
        run(connection, VISIT)
    database.execute("ALTER TABLE songs DROP CONSTRAINT c")
    database.execute("INSERT INTO songs SELECT generate_series(2001, 9000)")
    database.execute("ANALYZE songs")
    totals: list[int | None] = []

    @contextmanager
    def told(_: str, total: int | None) -> Iterator[Callable[[int], None]]:
        totals.append(total)
        yield lambda _: None

    monkeypatch.setattr("pgmodern.backfill.progress", told)
    assert run(connection, VISIT) == 1500
    assert totals == [1500]
    assert database.execute("SELECT count(*) FROM songs WHERE visits = 1").fetchone() == (2000,)


def visit(url: URL) -> None:
    """Run the backfill as a client of its own."""
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        operation_begins()
        run(connection, VISIT)


def test_a_backfill_killed_at_any_statement_goes_on_where_it_stopped(
    empty_database_url: URL, database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database)
    for fatal in itertools.count():
        database.execute("UPDATE songs SET visits = 0")
        if not run_doomed(database, empty_database_url, visit, fatal, "SIGKILL").struck:
            break
        stopped = state(database) or []
        last = int(stopped[0][1]) if stopped else 0
        visited = database.execute("SELECT coalesce(max(id), 0) FROM songs WHERE visits = 1")
        assert visited.fetchone() in [(last,), (2000,)], f"killed before statement {fatal}"
        run(connection, VISIT)
        assert database.execute(VISITS).fetchall() == ONCE, f"killed before statement {fatal}"
        assert state(database) is None
    assert fatal > 15


CHILD = """
import sys
from sqlalchemy import create_engine
from pgmodern.backfill import Backfill, run
statement = "UPDATE songs SET visits = visits + 1 FROM pg_sleep(0.1) WHERE {range}"
engine = create_engine(sys.argv[1], isolation_level="AUTOCOMMIT")
with engine.connect() as connection:
    run(connection, Backfill("songs.visits", "songs", "id", "bigint", statement))
"""


def test_a_backfill_whose_client_is_killed_goes_on_where_it_stopped(
    empty_database_url: URL,
    database: psycopg.Connection,
    connection: Connection,
    environ: dict[str, str],
) -> None:
    create_songs(database, "generate_series(1, 20000)")
    url = empty_database_url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", CHILD, url], env=environ) as child:
        until(lambda: state(database) or child.poll() is not None)
        assert child.poll() is None
        child.kill()
    statement = "UPDATE songs SET visits = visits + 1 FROM pg_sleep(0.1) WHERE {range}"
    visited = run(connection, Backfill("songs.visits", "songs", "id", "bigint", statement))
    assert 0 < visited < 20_000
    assert database.execute(VISITS).fetchall() == ONCE
    assert state(database) is None


def test_each_backfill_has_a_state_of_its_own(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database)
    database.execute("CREATE TABLE others AS SELECT id, 0 AS visits FROM songs")
    other = Backfill("others", "others", "id", "bigint", VISIT.statement.replace("songs", "others"))
    for backfill in (VISIT, other):
        barrier = f"ALTER TABLE {backfill.table} ADD CONSTRAINT c CHECK (id <= 500 OR visits = 0)"
        database.execute(barrier.encode())
        with pytest.raises(CheckViolation):
            run(connection, backfill)
        database.execute(f"ALTER TABLE {backfill.table} DROP CONSTRAINT c".encode())
    assert state(database) == [("others", "500"), ("songs.visits", "500")]
    assert run(connection, VISIT) == 1500
    assert state(database) == [("others", "500")]
    assert run(connection, other) == 1500
    assert state(database) is None
    assert database.execute(VISITS).fetchall() == ONCE
    assert database.execute(VISITS.replace("songs", "others")).fetchall() == ONCE


def test_a_locked_row_holds_up_the_backfill_and_nobody_else(
    empty_database_url: URL,
    database: psycopg.Connection,
    connection: Connection,
    connect: Connect,
    blocked: Callable[[URL], int],
) -> None:
    create_songs(database, "generate_series(1, 400)")
    application = connect(empty_database_url)
    application.execute("SET lock_timeout = '5s'")
    with ThreadPoolExecutor() as pool:
        with database.transaction():
            database.execute("SELECT FROM songs WHERE id = 300 FOR UPDATE")
            backfill = pool.submit(run, connection, VISIT)
            blocked(empty_database_url)
            application.execute("UPDATE songs SET visits = visits WHERE id = 1")
        assert backfill.result() == 400
    assert database.execute(VISITS).fetchall() == ONCE


def test_a_locked_table_is_waited_for_from_the_first(
    empty_database_url: URL,
    database: psycopg.Connection,
    connection: Connection,
    blocked: Callable[[URL], int],
) -> None:
    create_songs(database)
    connection.exec_driver_sql("SET lock_timeout = '100ms'")
    policy = LockPolicy(timeout=0.1, first_pause=0.01, longest_pause=0.1)
    with ThreadPoolExecutor() as pool:
        with database.transaction():
            database.execute("LOCK TABLE songs")
            backfill = pool.submit(run, connection, VISIT, policy)
            blocked(empty_database_url)
            database.execute("SELECT pg_sleep(0.5)")
            assert not backfill.done()
        assert backfill.result() == 2000


@pytest.mark.parametrize(
    ("type_", "keys"),
    [
        ("bigint", "generate_series(-900, 900)"),
        ("uuid", "gen_random_uuid() FROM generate_series(1, 1700)"),
        ("text", "md5(i::text) || 'é' FROM generate_series(1, 1700) AS i"),
        ("text", "unnest(ARRAY['', ' ', '''', 'a\\b', '%s', ':x', '{range}', 'É'])"),
        ("bigint", "generate_series(1, 0)"),
    ],
)
def test_the_offline_block_visits_each_row_once(
    empty_database_url: URL, database: psycopg.Connection, psql: Psql, type_: str, keys: str
) -> None:
    create_songs(database, keys, type_)
    block = offline(Backfill("b", "songs", "id", type_, VISIT.statement))
    done = psql(empty_database_url, f"{block};")
    assert done.returncode == 0, done.stderr
    assert database.execute(VISITS).fetchall() in [ONCE, []]
    assert state(database) is None


def test_the_offline_block_commits_batch_by_batch(
    empty_database_url: URL, database: psycopg.Connection, psql: Psql
) -> None:
    create_songs(database)
    database.execute("ALTER TABLE songs ADD CHECK (id <= 1200 OR visits = 0)")
    failed = psql(empty_database_url, f"{offline(VISIT)};")
    assert failed.returncode != 0
    visited = database.execute("SELECT count(*), max(id) FROM songs WHERE visits = 1").fetchone()
    assert visited == (1000, 1000)


def test_the_offline_block_does_not_confuse_its_variables_with_columns(
    empty_database_url: URL, database: psycopg.Connection, psql: Psql
) -> None:
    create_songs(database)
    database.execute("ALTER TABLE songs RENAME visits TO visited")
    database.execute("ALTER TABLE songs ADD last_key bigint, ADD upto_key bigint")
    statement = "UPDATE songs SET visited = visited + 1, last_key = NULL WHERE {range}"
    done = psql(
        empty_database_url, f"{offline(Backfill('b', 'songs', 'id', 'bigint', statement))};"
    )
    assert done.returncode == 0, done.stderr
    assert database.execute("SELECT DISTINCT visited FROM songs").fetchall() == ONCE


def test_the_offline_block_takes_time_in_proportion_to_the_table(
    empty_database_url: URL, database: psycopg.Connection, psql: Psql
) -> None:
    create_songs(database, "generate_series(1, 40000)")
    block = offline(VISIT)
    done = psql(empty_database_url, f"SET enable_seqscan = off;\n{block};")
    assert done.returncode == 0, done.stderr
    counted = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'songs'"
    for _ in range(100):  # a session reports what it did a moment after its end
        (read,) = database.execute(counted).fetchone() or (0,)
        if read >= 40_000:
            break
        database.execute("SELECT pg_sleep(0.1)")
    assert 40_000 <= read < 5 * 40_000


def test_a_backfill_name_is_only_a_name(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database, "generate_series(1, 3)")
    name = f"'; DROP TABLE songs; -- {uuid.uuid4()}"
    assert run(connection, Backfill(name, "songs", "id", "bigint", VISIT.statement)) == 3


def test_one_that_was_rewritten_begins_again(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database)
    database.execute("ALTER TABLE songs ADD CONSTRAINT c CHECK (id <= 500 OR visits = 0)")
    with pytest.raises(CheckViolation):
        run(connection, VISIT)
    assert state(database) == [("songs.visits", "500")]
    database.execute("ALTER TABLE songs DROP CONSTRAINT c")
    other = Backfill("songs.visits", "songs", "id", "bigint", VISIT.statement.replace("+ 1", "+ 2"))
    assert run(connection, other) == 2000
    found = database.execute("SELECT visits, count(*) FROM songs GROUP BY 1 ORDER BY 1").fetchall()
    assert found == [(2, 1500), (3, 500)]


def test_a_killed_client_s_last_commit_counts(
    empty_database_url: URL, database: psycopg.Connection, connection: Connection
) -> None:
    """Deferred triggers make a COMMIT slow: it is under way still when the next run begins."""
    create_songs(database, "generate_series(1, 3000)")
    database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.id % 500 = 0 THEN PERFORM pg_sleep(0.3); END IF; RETURN NULL; END $$"
    )
    database.execute(
        "CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON songs DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    child = get_context("fork").Process(target=_visit_all, args=(empty_database_url,))
    child.start()
    committing = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND state = 'active' AND query = 'COMMIT' AND pid <> pg_backend_pid()"
    )
    until_found(database, committing)
    child.kill()
    child.join()
    run(connection, VISIT)
    assert database.execute(VISITS).fetchall() == ONCE


def _visit_all(url: URL) -> None:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        run(connection, VISIT)


def test_a_statement_without_a_range_is_refused() -> None:
    with pytest.raises(MigrationError, match="range"):
        Backfill("b", "songs", "id", "bigint", "UPDATE songs SET visits = visits + 1")


def test_a_table_that_was_dropped_and_made_again_begins_again(
    database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database)
    database.execute("ALTER TABLE songs ADD CHECK (id <= 500 OR visits = 0)")
    with pytest.raises(CheckViolation):
        run(connection, VISIT)
    database.execute("DROP TABLE songs")
    create_songs(database)
    assert run(connection, VISIT) == 2000


@pytest.mark.parametrize("key", ["decode(md5(i::text), 'hex')", "('b' || i)::bytea"])
def test_keys_may_be_bytes(database: psycopg.Connection, connection: Connection, key: str) -> None:
    create_songs(database, f"{key} FROM generate_series(1, 1700) AS i", "bytea")
    assert run(connection, Backfill("b", "songs", "id", "bytea", VISIT.statement)) == 1700
    assert database.execute(VISITS).fetchall() == ONCE


@pytest.mark.quick
def test_whoever_cancels_it_ends_it(
    empty_database_url: URL, database: psycopg.Connection, connection: Connection
) -> None:
    create_songs(database)
    slow = VISIT.statement.replace(" WHERE", " FROM pg_sleep(5) WHERE")
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    sleeping = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE pid = %s AND wait_event = 'PgSleep'"
    )
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run, connection, Backfill("b", "songs", "id", "bigint", slow))
        until_found(database, sleeping, pid, while_running=running)
        with pytest.raises(QueryCanceled):
            running.result(timeout=10)
