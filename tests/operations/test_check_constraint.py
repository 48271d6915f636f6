"""`op.add_check_constraint_online` and `op.drop_constraint_online`."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import render_python_code
from alembic.operations.ops import UpgradeOps
from psycopg.errors import CheckViolation, UndefinedColumn
from sqlalchemy import URL

from pgmodern.errors import MigrationError

Step = Callable[[Any], object]
Proof = Callable[..., None]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
Dump = Callable[..., str]

FILL = "INSERT INTO songs (title, album) SELECT 't' || i, 'a' FROM generate_series(1, 500) AS i"
PLAIN = "ALTER TABLE songs ADD CONSTRAINT ck CHECK (length(title) < 100)"


def add(
    condition: str = "length(title) < 100", name: str = "ck", table: str = "songs", **options: Any
) -> Step:
    """Return the step that adds the constraint."""
    return lambda op: op.add_check_constraint_online(name, table, condition, **options)


def drop(name: str = "ck", table: str = "songs", **options: Any) -> Step:
    """Return the step that drops it."""
    return lambda op: op.drop_constraint_online(name, table, **options)


def constraints(database: psycopg.Connection, table: str = "songs") -> list[Any]:
    """Return the oid, name, definition and validity of the CHECKs of a table."""
    return database.execute(
        "SELECT oid, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint "
        "WHERE conrelid = to_regclass(%s) AND contype = 'c' ORDER BY conname",
        [table],
    ).fetchall()


def test_one_that_is_there_is_not_touched(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("ALTER TABLE songs ADD CONSTRAINT ck CHECK ( LENGTH(songs.title)<100 )")
    before = constraints(database)
    with database.transaction():
        database.execute("LOCK TABLE songs IN ROW EXCLUSIVE MODE")
        database.execute("SELECT * FROM songs")  # would block whatever alters the table
        apply(add())
    assert constraints(database) == before


def test_one_that_is_there_but_not_valid_is_validated(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute((PLAIN + " NOT VALID").encode())
    ((oid, *_),) = constraints(database)
    apply(add())
    ((same, _, _, valid),) = constraints(database)
    assert (same, valid) == (oid, True)


def test_an_owner_needs_temporary_tables_only_where_one_is_there(
    database: psycopg.Connection, owner: str, apply: Apply
) -> None:
    def step(op: Any) -> None:
        op.execute(f"SET ROLE {owner}")
        add()(op)

    apply(step)
    before = constraints(database)
    with pytest.raises(MigrationError, match="GRANT TEMPORARY ON DATABASE"):
        apply(step)
    assert constraints(database) == before


@pytest.mark.parametrize(
    ("definition", "shown"),
    [
        ("CHECK (length(title) < 101)", "101"),
        ("CHECK (length(title) < 100) NO INHERIT", "NO INHERIT"),
        ("UNIQUE (title)", "UNIQUE"),
    ],
)
def test_another_of_that_name_is_refused_and_both_are_shown(
    database: psycopg.Connection, apply: Apply, definition: str, shown: str
) -> None:
    database.execute(f"ALTER TABLE songs ADD CONSTRAINT ck {definition}".encode())
    with pytest.raises(MigrationError, match=rf"{shown}.*not CHECK \(\(length\(title\) < 100\)\)"):
        apply(add())


def test_rows_that_violate_it_are_named_and_new_ones_are_refused(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FILL)
    database.execute("UPDATE songs SET album = 'x' WHERE id IN (7, 300)")
    for _ in range(2):
        with pytest.raises(MigrationError, match=r"2 row\(s\): id = '7'; id = '300'"):
            apply(add("album <> 'x'"))
    ((_, _, _, valid),) = constraints(database)
    assert not valid
    with pytest.raises(CheckViolation):
        database.execute("INSERT INTO songs (album) VALUES ('x')")
    database.execute("UPDATE songs SET album = NULL WHERE album = 'x'")
    apply(add("album <> 'x'"))
    ((_, _, _, valid),) = constraints(database)
    assert valid


def test_only_the_first_rows_are_named(database: psycopg.Connection, apply: Apply) -> None:
    database.execute(FILL)
    with pytest.raises(MigrationError, match="5 or more rows: ") as raised:
        apply(add("album <> 'a'"))
    assert raised.value.cause.count("id = ") == 5


def test_a_row_is_named_by_its_whole_key_or_by_its_place(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(
        'CREATE TABLE keyed (x int, b text, "The a" int, PRIMARY KEY ("The a", b) INCLUDE (x))'
    )
    database.execute("CREATE TABLE heap (x int)")
    database.execute("INSERT INTO keyed VALUES (-1, 'it''s 10:0%s', 3)")
    database.execute("INSERT INTO heap VALUES (1), (-1)")
    with pytest.raises(MigrationError) as keyed:
        apply(add("x > 0", table="keyed"))
    assert """: ("The a", b) = ('3', 'it''s 10:0%s')\n""" in str(keyed.value)
    with pytest.raises(MigrationError) as heap:
        apply(add("x > 0", table="heap"))
    assert ": (tableoid::regclass, ctid) = ('heap', '(0,2)')\n" in str(heap.value)


def test_a_condition_that_is_null_is_no_violation(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("INSERT INTO songs (title, album) VALUES (NULL, NULL)")
    apply(add())
    ((_, _, _, valid),) = constraints(database)
    assert valid


def test_a_condition_that_makes_no_sense_leaves_nothing(
    database: psycopg.Connection, apply: Apply
) -> None:
    with pytest.raises(UndefinedColumn):
        apply(add("nothing > 0"))
    assert constraints(database) == []


def test_it_is_added_while_others_read_and_write(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
) -> None:
    """The validation waits within the condition, so that it is under way while others work."""
    database.execute("INSERT INTO songs (title) VALUES ('first')")
    database.execute(
        "CREATE FUNCTION slow(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
        "IF $1 = 'first' THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; "
        "RETURN true; END $$"
    )
    gate = connect(empty_database_url)
    gate.execute("SELECT pg_advisory_lock(4711)")
    database.execute("SET lock_timeout = '2s'")
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(apply, add("slow(title)"))
        try:
            wait_for_the_validation(database)
            database.execute("INSERT INTO songs (title) VALUES ('second')")
            database.execute("UPDATE songs SET album = 'x' WHERE title = 'second'")
            database.execute("DELETE FROM songs WHERE title = 'second'")
            assert database.execute("SELECT count(*) FROM songs").fetchone() == (1,)
            assert not adding.done()
        finally:
            gate.execute("SELECT pg_advisory_unlock(4711)")
        adding.result()
    ((_, _, _, valid),) = constraints(database)
    assert valid


def wait_for_the_validation(database: psycopg.Connection) -> None:
    """Return when the constraint is being validated."""
    for _ in range(1000):
        if database.execute(
            "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE relation = 'songs'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted "
            "AND wait_event = 'advisory'"
        ).rowcount:
            return
        database.execute("SELECT pg_sleep(0.01)")
    pytest.fail("nothing is validated")


def test_a_partitioned_table_has_it_on_every_partition(
    database: psycopg.Connection, apply: Apply, apply_killed: Callable[[Step], Iterator[int]]
) -> None:
    database.execute("CREATE TABLE plays (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)")
    database.execute("CREATE TABLE plays_1 PARTITION OF plays FOR VALUES FROM (0) TO (10)")
    database.execute("CREATE TABLE plays_2 PARTITION OF plays FOR VALUES FROM (10) TO (20)")
    database.execute("INSERT INTO plays VALUES (1, 1), (11, -1)")
    with pytest.raises(MigrationError, match="id = '11'"):
        apply(add("n > 0", table="plays"))
    database.execute("UPDATE plays SET n = 1")
    apply(drop(table="plays"))
    for killed in apply_killed(add("n > 0", table="plays")):
        for table in ("plays", "plays_1", "plays_2"):
            ((*_, valid),) = constraints(database, table)
            assert valid, f"{table}, killed before statement {killed}"
        apply(drop(table="plays"))
        assert constraints(database, "plays_1") == []


def test_the_script_refuses_another_of_that_name_and_violating_rows(
    empty_database_url: URL, database: psycopg.Connection, script: Callable[[Step], str], psql: Psql
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('x')")
    for _ in range(2):
        done = psql(empty_database_url, script(add("title <> 'x'")))
        assert "violated by some row" in done.stderr
    ((_, _, definition, _),) = constraints(database)
    assert definition.endswith("NOT VALID")
    done = psql(empty_database_url, script(add("title <> 'y'")))
    assert "'x'" in done.stderr
    assert "'y'" in done.stderr
    database.execute("UPDATE songs SET title = 'z'")
    assert psql(empty_database_url, script(add("title <> 'x'"))).returncode == 0
    ((_, _, _, valid),) = constraints(database)
    assert valid


def test_each_is_the_reverse_of_the_other_and_both_are_rendered(
    database: psycopg.Connection, apply: Apply
) -> None:
    from pgmodern.operations.check_constraint import AddCheckConstraintOnline
    from pgmodern.operations.constraint import DropConstraintOnline

    forward = AddCheckConstraintOnline("ck", "songs", "title <> 'x'", "public")
    apply(lambda op: op.invoke(forward))
    assert len(constraints(database)) == 1
    apply(lambda op: op.invoke(forward.reverse()))
    assert constraints(database) == []
    assert forward.reverse().reverse() is forward
    with pytest.raises(ValueError, match="ck"):
        DropConstraintOnline("ck", "songs").reverse()
    assert render_python_code(UpgradeOps([forward, forward.reverse()])) == (
        "# ### commands auto generated by Alembic - please adjust! ###\n"
        """    op.add_check_constraint_online('ck', 'songs', "title <> 'x'", schema='public')\n"""
        "    op.drop_constraint_online('ck', 'songs', schema='public')\n"
        "    # ### end Alembic commands ###"
    )
