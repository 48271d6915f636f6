"""What holds for each of the constraints: CHECK, NOT NULL and FOREIGN KEY."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from pgmodern.quoting import quoted

Step = Callable[[Any], object]
Proof = Callable[..., None]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
Dump = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint of a column that is called `added` and `dropped`, or plainly so in DDL.

    A value violates it; an obstacle is what a transaction did that adding it has to wait for.
    """

    add: Step
    drop: Step
    added: str
    dropped: str
    violation: str | None
    obstacle: str = "SELECT FROM songs"


Of = Callable[[str, str, str, str | None], Constraint]


def check(name: str, table: str, column: str, schema: str | None) -> Constraint:
    """Return the CHECK that forbids one value."""
    target, condition = quoted(table, schema), f"{quoted(column)} <> '10:0%s'"
    return Constraint(
        lambda op: op.add_check_constraint_online(name, table, condition, schema=schema),
        lambda op: op.drop_constraint_online(name, table, schema=schema),
        f"ALTER TABLE {target} ADD CONSTRAINT {quoted(name)} CHECK ({condition})",
        f"ALTER TABLE {target} DROP CONSTRAINT {quoted(name)}",
        "10:0%s",
    )


def not_null(_name: str, table: str, column: str, schema: str | None) -> Constraint:
    """Return the NOT NULL."""
    target = quoted(table, schema)
    return Constraint(
        lambda op: op.set_not_null_online(table, column, schema=schema),
        lambda op: op.drop_not_null_online(table, column, schema=schema),
        f"ALTER TABLE {target} ALTER {quoted(column)} SET NOT NULL",
        f"ALTER TABLE {target} ALTER {quoted(column)} DROP NOT NULL",
        None,
    )


def foreign_key(name: str, table: str, column: str, schema: str | None) -> Constraint:
    """Return the FOREIGN KEY that points at the artists."""
    target, key = quoted(table, schema), quoted(column)
    return Constraint(
        lambda op: op.add_foreign_key_online(
            name, table, "artists", [column], ["name"], source_schema=schema
        ),
        lambda op: op.drop_constraint_online(name, table, schema=schema),
        f"ALTER TABLE {target} ADD CONSTRAINT {quoted(name)} "
        f"FOREIGN KEY ({key}) REFERENCES artists (name)",
        f"ALTER TABLE {target} DROP CONSTRAINT {quoted(name)}",
        "nobody",
        obstacle="INSERT INTO artists VALUES ('later')",
    )


FILL = """
    CREATE TABLE artists (name text PRIMARY KEY);
    INSERT INTO artists SELECT 't' || i FROM generate_series(1, 500) AS i;
    INSERT INTO songs (title) SELECT name FROM artists;
"""
EACH: list[Of] = [check, not_null, foreign_key]
CHECK, NOT_NULL, FOREIGN_KEY = (of("it", "songs", "title", None) for of in EACH)
every_constraint = pytest.mark.parametrize(
    "constraint", [CHECK, NOT_NULL, FOREIGN_KEY], ids=["check", "not null", "foreign key"]
)


def plain(
    database: psycopg.Connection, dump: Callable[[], str], constraint: Constraint
) -> tuple[str, str]:
    """Return the dumps of the database without and with the constraint as plain DDL adds it."""
    before = dump()
    database.execute(constraint.added.encode())
    after = dump()
    database.execute(constraint.dropped.encode())
    assert before == dump() != after
    return before, after


@pytest.fixture
def schema(empty_database_url: URL, database: psycopg.Connection, dump: Dump) -> Callable[[], str]:
    """Return the schema as it is; there are songs, each of an artist."""
    database.execute(FILL)
    return lambda: dump(empty_database_url)


@every_constraint
def test_it_is_that_of_plain_ddl_and_comes_and_goes(
    database: psycopg.Connection, schema: Callable[[], str], apply: Apply, constraint: Constraint
) -> None:
    before, after = plain(database, schema, constraint)
    for _ in range(2):
        for step, expected in ((constraint.add, after), (constraint.drop, before)):
            for _ in range(2):
                apply(step)
                assert schema() == expected


@every_constraint
def test_the_script_does_the_same(
    empty_database_url: URL,
    database: psycopg.Connection,
    schema: Callable[[], str],
    script: Callable[[Step], str],
    psql: Psql,
    constraint: Constraint,
) -> None:
    before, after = plain(database, schema, constraint)
    for step, expected in ((constraint.add, after), (constraint.drop, before)):
        for _ in range(2):
            done = psql(empty_database_url, script(step))
            assert done.returncode == 0, done.stderr
            assert schema() == expected


@pytest.mark.parametrize(
    ("operation", "constraint"),
    [
        ("add_check_constraint_online", CHECK),
        ("set_not_null_online", NOT_NULL),
        ("add_foreign_key_online", FOREIGN_KEY),
    ],
)
def test_killed_anywhere_it_is_finished_by_the_next(
    proof: Proof, operation: str, constraint: Constraint
) -> None:
    proof(operation, constraint.add, constraint.drop, fill=FILL)


@pytest.mark.parametrize(
    ("operation", "constraint"),
    [("drop_constraint_online", CHECK), ("drop_not_null_online", NOT_NULL)],
)
def test_killed_anywhere_it_is_dropped_by_the_next(
    proof: Proof, operation: str, constraint: Constraint
) -> None:
    proof(operation, constraint.drop, constraint.add, fill=FILL, first=constraint.add)


@every_constraint
def test_it_gives_way_to_a_transaction_that_uses_the_table(
    empty_database_url: URL,
    database: psycopg.Connection,
    schema: Callable[[], str],
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
    constraint: Constraint,
) -> None:
    before, after = plain(database, schema, constraint)
    other = connect(empty_database_url)
    other.execute("SET statement_timeout = '5s'")
    steps = (constraint.add, constraint.obstacle, after), (constraint.drop, "TABLE songs", before)
    for step, obstacle, expected in steps:
        with ThreadPoolExecutor() as pool:
            with database.transaction():
                database.execute(obstacle.encode())
                running = pool.submit(apply, step)
                blocked(empty_database_url)
                other.execute("INSERT INTO songs (title) VALUES ('t1')")
            running.result()
        assert schema() == expected


@pytest.mark.parametrize("of", EACH, ids=["check", "not null", "foreign key"])
@pytest.mark.parametrize(
    ("name", "table", "column", "namespace"),
    [
        ("Check 'of\" :x %s $$", 'Odd "%s: {t}', "the %s \"Key' :x", None),
        ("Ck", "Songs", "title", "Other: \"one\" '%s'"),
        ("n" * 63, "t" * 63, "c" * 63, None),
        ("é" * 40, "songs", "title", "other"),
    ],
)
def test_odd_names_and_other_schemas(
    empty_database_url: URL,
    database: psycopg.Connection,
    schema: Callable[[], str],
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    of: Of,
    name: str,
    table: str,
    column: str,
    namespace: str | None,
) -> None:
    constraint, target = of(name, table, column, namespace), quoted(table, namespace)
    if namespace:
        database.execute(f"CREATE SCHEMA {quoted(namespace)}".encode())
    database.execute(f"CREATE TABLE {target} ({quoted(column)} text)".encode())
    before, after = plain(database, schema, constraint)
    insert = f"INSERT INTO {target.replace('%', '%%')} VALUES ('t1'), (%s)"
    database.execute(insert.encode(), [constraint.violation])
    with pytest.raises(MigrationError, match=r"ctid\) = \(.*, '\(0,2\)'\)"):
        apply(constraint.add)
    assert psql(empty_database_url, script(constraint.add)).returncode != 0
    database.execute(f"UPDATE {target} SET {quoted(column)} = 't2'".encode())
    apply(constraint.add)
    assert schema() == after
    apply(constraint.drop)
    for step, expected in ((constraint.add, after), (constraint.drop, before)):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert schema() == expected
