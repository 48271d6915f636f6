"""`op.add_check_constraint_online`, `op.replace_check_constraint_online` and their reverse."""

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
from pgmodern.quoting import quoted
from tests.waiting import until_found

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


def replace(
    condition: str = "length(title) < 50", name: str = "ck", table: str = "songs", **options: Any
) -> Step:
    """Return the step that gives the constraint this condition."""
    return lambda op: op.replace_check_constraint_online(name, table, condition, **options)


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


@pytest.mark.quick
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
    until_found(
        database,
        "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE datname = current_database() AND relation = 'songs'::regclass "
        "AND mode = 'ShareUpdateExclusiveLock' AND granted AND wait_event = 'advisory'",
    )


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


@pytest.mark.quick
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


def test_killed_anywhere_a_replacement_is_finished_by_the_next(proof: Proof) -> None:
    back = replace("length(title) < 100")
    proof("replace_check_constraint_online", replace(), back, fill=FILL, first=add())


def test_killed_anywhere_one_that_is_not_valid_is_there_after_the_next(proof: Proof) -> None:
    violated = add("album <> 'a'", not_valid=True)
    proof("add_check_constraint_online, not valid", violated, drop(), fill=FILL)


def test_one_that_is_not_valid_holds_for_new_rows_only_and_is_validated_later(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('x')")
    for _ in range(2):
        apply(add("title <> 'x'", not_valid=True))
        ((oid, _, _, valid),) = constraints(database)
        assert not valid
    with pytest.raises(CheckViolation):
        database.execute("INSERT INTO songs (title) VALUES ('x')")
    database.execute("UPDATE songs SET title = 'y'")
    apply(add("title <> 'x'"))
    ((same, _, _, valid),) = constraints(database)
    assert (same, valid) == (oid, True)
    apply(add("title <> 'x'", not_valid=True))
    assert constraints(database)[0][3], "one that is valid was undone"


def test_no_row_is_written_between_the_old_one_and_the_new(
    empty_database_url: URL, database: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    """While the rows are read the new one holds already, and others read and write."""
    database.execute("INSERT INTO songs (title) VALUES ('first')")
    database.execute("ALTER TABLE songs ADD CONSTRAINT ck CHECK (title <> 'x')")
    database.execute(
        "CREATE FUNCTION slow(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
        "IF $1 = 'first' THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; "
        "RETURN $1 <> 'y'; END $$"
    )
    gate = connect(empty_database_url)
    gate.execute("SELECT pg_advisory_lock(4711)")
    database.execute("SET lock_timeout = '2s'")
    with ThreadPoolExecutor() as pool:
        replacing = pool.submit(apply, replace("slow(title)"))
        try:
            wait_for_the_validation(database)
            with pytest.raises(CheckViolation):
                database.execute("INSERT INTO songs (title) VALUES ('y')")
            database.execute("INSERT INTO songs (title) VALUES ('second')")
            assert database.execute("SELECT count(*) FROM songs").fetchone() == (2,)
            assert not replacing.done()
        finally:
            gate.execute("SELECT pg_advisory_unlock(4711)")
        replacing.result()
    ((_, _, definition, valid),) = constraints(database)
    assert (definition, valid) == ("CHECK (slow(title))", True)


def test_a_replacement_that_rows_violate_stays_for_new_rows(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('x'), ('y')")
    apply(add("title <> 'z'"))
    for _ in range(2):
        with pytest.raises(MigrationError, match=r"1 row\(s\): id = '2'"):
            apply(replace("title <> 'y'"))
        ((_, _, definition, valid),) = constraints(database)
        assert ("'y'" in definition, valid) == (True, False)
    database.execute("DELETE FROM songs WHERE id = 2")
    apply(replace("title <> 'y'"))
    ((*_, valid),) = constraints(database)
    assert valid


@pytest.mark.parametrize("before", [None, "NOT VALID", ""])
def test_a_replacement_of_the_same_definition_is_added_validated_or_left(
    database: psycopg.Connection, apply: Apply, before: str | None
) -> None:
    if before is not None:
        database.execute(f"{PLAIN} {before}".encode())
    there = constraints(database)
    apply(replace("length(title) < 100"))
    ((oid, _, _, valid),) = constraints(database)
    assert valid
    assert not there or oid == there[0][0], "it was dropped"


@pytest.mark.quick
def test_a_replacement_may_be_not_valid(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('x')")
    apply(add())
    apply(replace("title <> 'x'", not_valid=True))
    ((*_, valid),) = constraints(database)
    assert not valid


@pytest.mark.quick
@pytest.mark.parametrize("definition", ["UNIQUE (title)", "FOREIGN KEY (id) REFERENCES songs (id)"])
def test_what_is_no_check_is_not_replaced(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    definition: str,
) -> None:
    database.execute(f"ALTER TABLE songs ADD CONSTRAINT ck {definition}".encode())
    with pytest.raises(MigrationError, match="not CHECK"):
        apply(replace())
    assert psql(empty_database_url, script(replace())).returncode != 0
    assert constraints(database) == []
    found = database.execute("SELECT contype::text FROM pg_constraint WHERE conname = 'ck'")
    assert found.fetchone() == (definition[0].lower(),)


@pytest.mark.parametrize("schema", [None, 'Other "%s":'])
def test_odd_names_and_another_schema_of_a_replacement(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    schema: str | None,
) -> None:
    if schema:
        database.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    table, name = "Odd \"%s: {t}'", "n" * 60 + "Ü"
    there = quoted(table, schema)
    database.execute(f'CREATE TABLE {there} ("the %s :x" text)'.encode())
    given: dict[str, Any] = {"name": name, "table": table, "schema": schema}
    old, new = """"the %s :x" <> 'a%:b'""", """"the %s :x" <> '%%c:d'"""

    def run_script(step: Step) -> None:
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr

    for run in (apply, run_script):
        run(add(old, **given))
        for condition in (new, new, old):
            run(replace(condition, **given))
            ((_, found, definition, valid),) = constraints(database, there)
            assert (found, valid) == (name, True)
            assert condition[15:] in definition
        run(drop(name, table, schema=schema))
        run(replace(new, **given))
        assert len(constraints(database, there)) == 1
        run(drop(name, table, schema=schema))


def test_a_partitioned_table_s_is_replaced_on_every_partition(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    database.execute("CREATE TABLE plays (n int CONSTRAINT ck CHECK (n > 0)) PARTITION BY LIST (n)")
    database.execute("CREATE TABLE plays_1 PARTITION OF plays DEFAULT")
    apply(replace("n > 1", table="plays"))
    ((_, _, definition, valid),) = constraints(database, "plays_1")
    assert (definition, valid) == ("CHECK ((n > 1))", True)
    assert psql(empty_database_url, script(replace("n > 2", table="plays"))).returncode == 0
    ((_, _, definition, valid),) = constraints(database, "plays_1")
    assert (definition, valid) == ("CHECK ((n > 2))", True)


def test_a_replacement_knows_its_way_back(database: psycopg.Connection, apply: Apply) -> None:
    from pgmodern.operations.check_constraint import (
        AddCheckConstraintOnline,
        ReplaceCheckConstraintOnline,
    )

    old = AddCheckConstraintOnline("ck", "songs", "title <> 'x'", not_valid=True)
    new = AddCheckConstraintOnline("ck", "songs", "title <> 'y'")
    database.execute("INSERT INTO songs (title) VALUES ('x')")
    forward = ReplaceCheckConstraintOnline(new, old)
    apply(lambda op: op.invoke(old))
    before = constraints(database)[0][1:]
    apply(lambda op: op.invoke(forward))
    assert "'y'" in constraints(database)[0][2]
    apply(lambda op: op.invoke(forward.reverse()))
    assert constraints(database)[0][1:] == before
    with pytest.raises(ValueError, match="ck"):
        ReplaceCheckConstraintOnline(new).reverse()
