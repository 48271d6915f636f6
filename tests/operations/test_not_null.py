"""`op.set_not_null_online` and `op.drop_not_null_online`."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import render_python_code
from alembic.operations.ops import UpgradeOps
from psycopg.errors import CheckViolation
from sqlalchemy import URL

from pgmodern.errors import MigrationError

Step = Callable[[Any], object]
Proof = Callable[..., None]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
Dump = Callable[..., str]

FILL = "INSERT INTO songs (title) SELECT 't' || i FROM generate_series(1, 500) AS i"


def set_it(table: str = "songs", column: str = "title", **options: Any) -> Step:
    """Return the step that makes the column NOT NULL."""
    return lambda op: op.set_not_null_online(table, column, **options)


def drop_it(table: str = "songs", column: str = "title", **options: Any) -> Step:
    """Return the step that lets it hold NULL."""
    return lambda op: op.drop_not_null_online(table, column, **options)


def state(
    database: psycopg.Connection, table: str = "songs", column: str = "title"
) -> tuple[Any, ...] | None:
    """Return whether a column is NOT NULL, and the CHECKs of its table with their validity."""
    return database.execute(
        "SELECT attnotnull, ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = attrelid AND contype = 'c') FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attname = %s",
        [table, column],
    ).fetchone()


def test_a_column_that_is_as_it_should_be_is_not_locked(
    empty_database_url: URL, database: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ALTER title SET NOT NULL")
    reader = connect(empty_database_url)
    with reader.transaction():
        reader.execute("SELECT FROM songs")
        apply(set_it())
        apply(drop_it(column="album"))


def test_rows_that_hold_null_are_named_and_new_ones_are_refused(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FILL)
    database.execute("UPDATE songs SET title = NULL WHERE id IN (7, 300)")
    for _ in range(2):
        with pytest.raises(MigrationError, match=r"2 row\(s\): id = '7'; id = '300'"):
            apply(set_it())
    assert state(database) == (False, ["CHECK ((title IS NOT NULL)) NOT VALID"])
    with pytest.raises(CheckViolation):
        database.execute("INSERT INTO songs (title) VALUES (NULL)")
    database.execute("UPDATE songs SET title = '' WHERE title IS NULL")
    apply(set_it())
    assert state(database) == (True, [])


def test_given_up_after_a_violation_it_leaves_nothing(
    empty_database_url: URL,
    database: psycopg.Connection,
    dump: Dump,
    apply: Apply,
) -> None:
    before = dump(empty_database_url)
    database.execute("INSERT INTO songs (title) VALUES (NULL)")
    with pytest.raises(MigrationError):
        apply(set_it())
    apply(drop_it())
    assert dump(empty_database_url) == before


def test_a_check_that_was_left_over_is_removed(
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    empty_database_url: URL,
) -> None:
    from pgmodern.operations.not_null import SetNotNullOnline

    addition = SetNotNullOnline("songs", "title").check.addition
    database.execute("ALTER TABLE songs ALTER title SET NOT NULL")
    database.execute(f"ALTER TABLE songs {addition}".encode())
    apply(set_it())
    assert state(database) == (True, [])
    database.execute(f"ALTER TABLE songs {addition}".encode())
    assert psql(empty_database_url, script(set_it())).returncode == 0
    assert state(database) == (True, [])


def test_the_server_is_spared_the_scan_when_it_sets_not_null(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FILL)
    said: list[str] = []

    def step(op: Any) -> None:
        driver = op.get_bind().connection.driver_connection
        driver.add_notice_handler(lambda notice: said.append(notice.message_primary))
        op.execute("SET client_min_messages = debug1")
        set_it()(op)

    apply(step)
    scans = [line for line in said if "verifying table" in line]
    proofs = [line for line in said if "sufficient to prove" in line]
    assert len(scans) <= 1  # that of the validation
    assert len(proofs) == 1
    assert state(database) == (True, [])


def test_rows_are_checked_while_others_read_and_write(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    """Of the steps only the last waits for one who writes."""
    from pgmodern.operations.not_null import SetNotNullOnline

    database.execute(FILL)
    addition = SetNotNullOnline("songs", "title").check.addition
    database.execute(f"ALTER TABLE songs {addition}".encode())
    writer = connect(empty_database_url)
    writer.execute("SET statement_timeout = '5s'")
    with ThreadPoolExecutor() as pool:
        with writer.transaction():
            writer.execute("UPDATE songs SET title = 'b' WHERE id = 1")
            setting = pool.submit(apply, set_it())
            blocked(empty_database_url)
            assert state(database) == (False, ["CHECK ((title IS NOT NULL))"])
            writer.execute("UPDATE songs SET title = 'c' WHERE id = 2")
        setting.result()
    assert state(database) == (True, [])


@pytest.mark.quick
@pytest.mark.since(18, "NOT NULL that is NOT VALID")
@pytest.mark.parametrize("given", ["online", "script"])
def test_a_not_null_that_is_not_valid_is_validated(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    given: str,
) -> None:
    database.execute("INSERT INTO songs (title) VALUES (NULL)")
    database.execute('ALTER TABLE songs ADD CONSTRAINT "Nn" NOT NULL title NOT VALID')
    if given == "online":
        with pytest.raises(MigrationError, match=r"Nn.* 1 row\(s\): id = '1'"):
            apply(set_it())
    else:
        assert psql(empty_database_url, script(set_it())).returncode != 0
    database.execute("UPDATE songs SET title = ''")
    if given == "online":
        apply(set_it())
    else:
        assert psql(empty_database_url, script(set_it())).returncode == 0
    assert state(database) == (True, [])
    valid = "SELECT convalidated FROM pg_constraint WHERE conname = 'Nn'"
    assert database.execute(valid.encode()).fetchone() == (True,)


@pytest.mark.quick
def test_a_column_that_is_not_there_is_said_so(apply: Apply) -> None:
    for step in (set_it(column="nothing"), drop_it(column="nothing"), set_it("nothing")):
        with pytest.raises(MigrationError, match="nothing"):
            apply(step)


def test_a_partitioned_table_has_it_on_every_partition(
    database: psycopg.Connection, apply: Apply, apply_killed: Callable[[Step], Iterator[int]]
) -> None:
    database.execute("CREATE TABLE plays (id int PRIMARY KEY, title text) PARTITION BY RANGE (id)")
    database.execute("CREATE TABLE plays_1 PARTITION OF plays FOR VALUES FROM (0) TO (10)")
    database.execute("CREATE TABLE plays_2 PARTITION OF plays FOR VALUES FROM (10) TO (20)")
    database.execute("INSERT INTO plays VALUES (1, ''), (11, NULL)")
    with pytest.raises(MigrationError, match="id = '11'"):
        apply(set_it("plays"))
    database.execute("UPDATE plays SET title = ''")
    for killed in apply_killed(set_it("plays")):
        for table in ("plays", "plays_1", "plays_2"):
            assert state(database, table) == (True, []), f"{table}, before statement {killed}"
        apply(drop_it("plays"))
        assert state(database, "plays_1") == (False, [])


def test_the_script_refuses_rows_that_hold_null(
    empty_database_url: URL, database: psycopg.Connection, script: Callable[[Step], str], psql: Psql
) -> None:
    database.execute("INSERT INTO songs (title) VALUES (NULL)")
    done = psql(empty_database_url, script(set_it()))
    assert "violated by some row" in done.stderr
    database.execute("DELETE FROM songs WHERE title IS NULL")
    assert psql(empty_database_url, script(set_it())).returncode == 0
    assert state(database) == (True, [])


@pytest.mark.quick
def test_each_is_the_reverse_of_the_other_and_both_are_rendered(
    database: psycopg.Connection, apply: Apply
) -> None:
    from pgmodern.operations.not_null import SetNotNullOnline

    forward = SetNotNullOnline("songs", "title", "public")
    apply(lambda op: op.invoke(forward))
    assert state(database) == (True, [])
    apply(lambda op: op.invoke(forward.reverse()))
    assert state(database) == (False, [])
    apply(lambda op: op.invoke(forward.reverse().reverse()))
    assert state(database) == (True, [])
    assert (
        "    op.set_not_null_online('songs', 'title', schema='public')\n"
        "    op.drop_not_null_online('songs', 'title', schema='public')\n"
    ) in render_python_code(UpgradeOps([forward, forward.reverse()]))
