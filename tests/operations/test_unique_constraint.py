"""`op.add_unique_constraint_online` and its reverse."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from pgmodern.errors import MigrationError
from pgmodern.quoting import quoted
from tests.waiting import until_found

Step = Callable[[Any], object]
Proof = Callable[..., None]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
SchemaOf = Callable[[URL], list[str]]
Script = Callable[[Step], str]

FILL = "INSERT INTO songs (title, album) SELECT 't' || i, 'a' FROM generate_series(1, 500) AS i"
OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "UNIQUE (title, album)"),
    ({"nulls_not_distinct": True}, "UNIQUE NULLS NOT DISTINCT (title, album)"),
    ({"include": ["id"]}, "UNIQUE (title, album) INCLUDE (id)"),
    ({"deferrable": True}, "UNIQUE (title, album) DEFERRABLE"),
    (
        {"deferrable": True, "initially": "DEFERRED"},
        "UNIQUE (title, album) DEFERRABLE INITIALLY DEFERRED",
    ),
    (
        {"nulls_not_distinct": True, "include": ["id"], "initially": "DEFERRED"},
        "UNIQUE NULLS NOT DISTINCT (title, album) INCLUDE (id) INITIALLY DEFERRED",
    ),
]


def add(*columns: str, name: str = "uq", table: str = "songs", **options: Any) -> Step:
    """Return the step that adds the constraint."""
    given = columns or ("title", "album")
    return lambda op: op.add_unique_constraint_online(name, table, given, **options)


def drop(name: str = "uq", table: str = "songs", **options: Any) -> Step:
    """Return the step that drops it."""
    return lambda op: op.drop_constraint_online(name, table, **options)


def remains(database: psycopg.Connection, table: str = "songs") -> list[Any]:
    """Return the constraints and the indexes of a table, but for its primary key."""
    return database.execute(
        "SELECT oid, conname::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = to_regclass(%(table)s) AND contype NOT IN ('p', 'n') UNION ALL "
        "SELECT indexrelid, indexrelid::regclass::text, indisvalid::text FROM pg_index "
        "WHERE indrelid = to_regclass(%(table)s) AND NOT indisprimary ORDER BY 1",
        {"table": table},
    ).fetchall()


def test_killed_anywhere_it_is_finished_by_the_next(proof: Proof) -> None:
    step = add("title", nulls_not_distinct=True, include=["album"], initially="DEFERRED")
    proof("add_unique_constraint_online", step, drop(), fill=FILL)


@pytest.mark.parametrize(("options", "clause"), OPTIONS, ids=[clause for _, clause in OPTIONS])
def test_it_is_the_one_of_plain_ddl(
    empty_database_url: URL,
    database: psycopg.Connection,
    schema_of: SchemaOf,
    apply: Apply,
    script: Script,
    psql: Psql,
    options: dict[str, Any],
    clause: str,
) -> None:
    before = schema_of(empty_database_url)
    database.execute(f"ALTER TABLE songs ADD CONSTRAINT uq {clause}".encode())
    after, there = schema_of(empty_database_url), remains(database)
    apply(add(**options))
    assert remains(database) == there, "one that is there was touched"
    apply(drop())
    assert schema_of(empty_database_url) == before
    apply(add(**options))
    assert schema_of(empty_database_url) == after
    apply(drop())
    for step, expected in ((add(**options), after), (add(**options), after), (drop(), before)):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert schema_of(empty_database_url) == expected


@pytest.mark.parametrize(
    ("definition", "shown"),
    [
        ("UNIQUE (title)", r"UNIQUE \(title\)"),
        ("UNIQUE (album, title)", r"UNIQUE \(album, title\)"),
        ("UNIQUE NULLS NOT DISTINCT (title, album)", "NULLS NOT DISTINCT"),
        ("UNIQUE (title, album) INCLUDE (id)", "INCLUDE"),
        ("UNIQUE (title, album) DEFERRABLE", "DEFERRABLE"),
        ("CHECK (title <> album)", "CHECK"),
        ("FOREIGN KEY (id) REFERENCES songs (id)", "FOREIGN KEY"),
    ],
)
def test_another_of_that_name_is_refused_and_both_are_shown(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Script,
    psql: Psql,
    definition: str,
    shown: str,
) -> None:
    database.execute(f"ALTER TABLE songs ADD CONSTRAINT uq {definition}".encode())
    before = remains(database)
    with pytest.raises(MigrationError, match=rf"{shown}.*, not UNIQUE \(title, album\)") as raised:
        apply(add())
    assert "another name, or drop that one" in raised.value.cure
    assert remains(database) == before
    done = psql(empty_database_url, script(add()))
    assert "not UNIQUE (title, album)" in done.stderr
    assert remains(database) == before


@pytest.mark.quick
def test_a_primary_key_of_that_name_is_another(database: psycopg.Connection, apply: Apply) -> None:
    with pytest.raises(MigrationError, match=r"is PRIMARY KEY \(id\), not UNIQUE \(id\)"):
        apply(add("id", name="songs_pkey"))


@pytest.mark.quick
def test_an_index_of_that_name_on_another_table_is_refused(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE TABLE albums (name text CONSTRAINT uq UNIQUE)")
    with pytest.raises(MigrationError, match="one of the table albums"):
        apply(add())
    assert remains(database) == []


@pytest.mark.quick
def test_duplicates_are_shown_and_nothing_is_left(
    empty_database_url: URL, database: psycopg.Connection, apply: Apply, script: Script, psql: Psql
) -> None:
    database.execute("INSERT INTO songs (title, album) VALUES ('a', 'x'), ('b', 'x'), ('a', 'x')")
    for _ in range(2):
        with pytest.raises(MigrationError, match=r"Key \(title, album\)=\(a, x\) is") as raised:
            apply(add())
        assert "Remove the duplicates" in raised.value.cure
        assert remains(database) == []
    assert "(a, x)" in psql(empty_database_url, script(add())).stderr
    database.execute("DELETE FROM songs WHERE id = 3")
    done = psql(empty_database_url, script(add()))
    assert done.returncode == 0, done.stderr
    with pytest.raises(UniqueViolation):
        database.execute("INSERT INTO songs (title, album) VALUES ('a', 'x')")


@pytest.mark.quick
def test_nulls_are_duplicates_only_where_they_are_not_distinct(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("INSERT INTO songs (title, album) VALUES ('a', NULL), ('a', NULL)")
    with pytest.raises(MigrationError, match=r"\(a, null\)"):
        apply(add(nulls_not_distinct=True))
    apply(add())


def test_one_that_is_deferred_is_checked_at_the_end_of_the_transaction(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(add("title", deferrable=True, initially="DEFERRED"))
    database.execute("INSERT INTO songs (title) VALUES ('a'), ('b')")
    with database.transaction():
        database.execute("UPDATE songs SET title = 'b' WHERE title = 'a'")
        database.execute("UPDATE songs SET title = 'a' WHERE id = 2")
    with pytest.raises(UniqueViolation), database.transaction():
        database.execute("UPDATE songs SET title = 'a'")


def test_an_index_that_stands_ready_becomes_the_constraint_s(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE UNIQUE INDEX uq ON songs (title, album)")
    ((index, *_),) = remains(database)
    apply(add())
    found = database.execute("SELECT conindid FROM pg_constraint WHERE conname = 'uq'").fetchone()
    assert found == (index,)


def test_it_is_added_while_others_read_and_write(
    empty_database_url: URL, database: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    """A transaction that is older keeps the build waiting, so that it is under way meanwhile."""
    database.execute(FILL)
    older = connect(empty_database_url)
    older.autocommit = False
    older.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    older.execute("SELECT 1")
    database.execute("SET lock_timeout = '2s'")
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(apply, add())
        try:
            wait_for_the_build(database)
            database.execute("INSERT INTO songs (title) VALUES ('new')")
            database.execute("UPDATE songs SET album = 'x' WHERE title = 'new'")
            assert database.execute("SELECT count(*) FROM songs").fetchone() == (501,)
            with pytest.raises(UniqueViolation):
                database.execute("INSERT INTO songs (title, album) VALUES ('new', 'x')")
            assert not adding.done()
        finally:
            older.rollback()
        adding.result()
    assert [name for _, name, _ in remains(database)] == ["uq", "uq"]


def wait_for_the_build(database: psycopg.Connection) -> None:
    """Return when the index is there, and waits for the transactions that are older."""
    until_found(
        database,
        "SELECT pid FROM pg_stat_progress_create_index "
        "WHERE datname = current_database() AND phase = 'waiting for old snapshots'",
    )


def test_it_gives_way_to_a_transaction_that_reads_the_table(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    reader = connect(empty_database_url)
    reader.execute("SET statement_timeout = '5s'")
    database.execute("CREATE UNIQUE INDEX uq ON songs (title, album)")
    with ThreadPoolExecutor() as pool:
        with database.transaction():
            database.execute("SELECT * FROM songs")
            adding = pool.submit(apply, add())
            blocked(empty_database_url)
            reader.execute("SELECT * FROM songs")
        adding.result()
    assert [name for _, name, _ in remains(database)] == ["uq", "uq"]


@pytest.mark.quick
@pytest.mark.parametrize("schema", [None, 'Other "%s":'])
def test_odd_names_and_another_schema(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Script,
    psql: Psql,
    schema: str | None,
) -> None:
    if schema:
        database.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    table, column, name = "Odd \"%s: {t}'", "the %s \"Key' :x", "n" * 60 + "Ü"
    there = quoted(table, schema)
    database.execute(f'CREATE TABLE {there} ({quoted(column)} int, "In%" int)'.encode())
    database.execute(f"INSERT INTO {there} VALUES (5), (5)".encode())
    step = add(column, name=name, table=table, schema=schema, include=["In%"])
    undo = drop(name, table, schema=schema)
    with pytest.raises(MigrationError, match=r"=\(5\) is duplicated"):
        apply(step)
    assert remains(database, there) == []
    database.execute(f"TRUNCATE {there}".encode())
    for _ in range(2):
        apply(step)
        assert name in str(remains(database, there))
    apply(undo)
    assert remains(database, there) == []
    for each, count in ((step, 2), (step, 2), (undo, 0)):
        done = psql(empty_database_url, script(each))
        assert done.returncode == 0, done.stderr
        assert len(remains(database, there)) == count


def test_a_partitioned_table_is_refused(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("CREATE TABLE plays (id int) PARTITION BY RANGE (id)")
    with pytest.raises(DBAPIError, match="concurrently"):
        apply(add("id", table="plays"))
    assert remains(database, "plays") == []


def test_a_column_that_is_not_there_leaves_nothing(
    database: psycopg.Connection, apply: Apply
) -> None:
    with pytest.raises(DBAPIError, match="nothing"):
        apply(add("nothing"))
    assert remains(database) == []


def test_each_is_the_reverse_of_the_other(database: psycopg.Connection, apply: Apply) -> None:
    from pgmodern.operations.unique_constraint import AddUniqueConstraintOnline

    forward = AddUniqueConstraintOnline("uq", "songs", ["title"], "public", deferrable=True)
    apply(lambda op: op.invoke(forward))
    assert len(remains(database)) == 2
    apply(lambda op: op.invoke(forward.reverse()))
    assert remains(database) == []
    assert forward.reverse().reverse() is forward
