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
from pgmodern.indexes.catalogue import quoted

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


@pytest.fixture
def plain(empty_database_url: URL, database: psycopg.Connection, dump: Dump) -> tuple[str, str]:
    """The dumps of the database without and with what plain DDL does."""
    before = dump(empty_database_url)
    database.execute("ALTER TABLE songs ALTER title SET NOT NULL")
    after = dump(empty_database_url)
    database.execute("ALTER TABLE songs ALTER title DROP NOT NULL")
    database.execute(FILL)
    return before, after


def test_it_comes_goes_and_comes_again(
    empty_database_url: URL, plain: tuple[str, str], dump: Dump, apply: Apply
) -> None:
    before, after = plain
    for _ in range(2):
        for _ in range(2):
            apply(set_it())
            assert dump(empty_database_url) == after
        for _ in range(2):
            apply(drop_it())
            assert dump(empty_database_url) == before


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
    plain: tuple[str, str],
    dump: Dump,
    apply: Apply,
) -> None:
    database.execute("INSERT INTO songs (title) VALUES (NULL)")
    with pytest.raises(MigrationError):
        apply(set_it())
    apply(drop_it())
    assert dump(empty_database_url) == plain[0]


def test_killed_anywhere_it_is_finished_by_the_next(proof: Proof) -> None:
    proof("set_not_null_online", set_it(), drop_it(), fill=FILL)


def test_killed_anywhere_it_is_dropped_by_the_next(proof: Proof) -> None:
    proof("drop_not_null_online", drop_it(), set_it(), fill=FILL, first=set_it())


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


def test_it_gives_way_to_a_transaction_that_reads_the_table(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    reader = connect(empty_database_url)
    reader.execute("SET statement_timeout = '5s'")
    for step, is_set in ((set_it(), True), (drop_it(), False)):
        with ThreadPoolExecutor() as pool:
            with database.transaction():
                database.execute("SELECT * FROM songs")
                running = pool.submit(apply, step)
                blocked(empty_database_url)
                reader.execute("SELECT * FROM songs")
            running.result()
        assert state(database) == (is_set, [])


@pytest.mark.parametrize("given", ["online", "script"])
def test_a_not_null_that_is_not_valid_is_validated(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    given: str,
) -> None:
    if database.info.server_version < 180_000:
        pytest.skip("from PostgreSQL 18 a NOT NULL may be NOT VALID")
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


def test_a_column_that_is_not_there_is_said_so(apply: Apply) -> None:
    for step in (set_it(column="nothing"), drop_it(column="nothing"), set_it("nothing")):
        with pytest.raises(MigrationError, match="nothing"):
            apply(step)


@pytest.mark.parametrize(
    ("table", "column", "schema"),
    [
        ('Odd "%s: {t}', "the %s \"Key' :x", None),
        ("Songs", "title", "Other: \"one\" '%s'"),
        ("t" * 63, "c" * 63, None),
    ],
)
def test_odd_names_and_other_schemas(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    table: str,
    column: str,
    schema: str | None,
) -> None:
    target = quoted(table, schema)
    if schema:
        database.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    database.execute(f"CREATE TABLE {target} ({quoted(column)} text)".encode())
    database.execute(f"INSERT INTO {target} VALUES ('a'), (NULL)".encode())
    set_step, drop_step = (step(table, column, schema=schema) for step in (set_it, drop_it))
    with pytest.raises(MigrationError, match=r"ctid\) = \(.*, '\(0,2\)'\)"):
        apply(set_step)
    assert psql(empty_database_url, script(set_step)).returncode != 0
    database.execute(f"UPDATE {target} SET {quoted(column)} = 'b'".encode())
    for step, expected in ((set_step, True), (drop_step, False)):
        apply(step)
        assert state(database, target, column) == (expected, [])
    for step, expected in ((set_step, True), (set_step, True), (drop_step, False)):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert state(database, target, column) == (expected, [])


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


def test_the_script_does_the_same(
    empty_database_url: URL,
    database: psycopg.Connection,
    plain: tuple[str, str],
    dump: Dump,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    before, after = plain
    database.execute("INSERT INTO songs (title) VALUES (NULL)")
    done = psql(empty_database_url, script(set_it()))
    assert "violated by some row" in done.stderr
    database.execute("DELETE FROM songs WHERE title IS NULL")
    for step, expected in (
        (set_it(), after),
        (set_it(), after),
        (drop_it(), before),
        (drop_it(), before),
    ):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert dump(empty_database_url) == expected


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
