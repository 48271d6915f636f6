"""`op.adopt_table` and `op.release_table`: tables that may be there already."""

import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Proof = Callable[..., None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

DEFINITION = (
    """CREATE TABLE labels (
        id int PRIMARY KEY, founded date, more jsonb DEFAULT '{"a":1, "b": ":x"}',
        CHECK (more::text <> '100 %s of :these {or} %(those)s')
    )""",
    "CREATE INDEX ix_labels_founded ON labels (founded)",
)


def adopt(op: Any) -> None:
    """The step that adopts the table."""
    op.adopt_table("labels", *DEFINITION)


def release(op: Any) -> None:
    """The step that releases the table."""
    op.release_table("labels")


def oid(database: psycopg.Connection, name: str = "labels") -> int | None:
    """Return the oid of a table or index, None when there is none."""
    row = database.execute("SELECT to_regclass(%s)::oid::bigint", [name]).fetchone()
    assert row is not None
    return row[0] if row[0] is None else int(row[0])


def tables(database: psycopg.Connection) -> set[str]:
    """Return the tables that are there."""
    found = database.execute("SELECT relname FROM pg_stat_user_tables")
    return {str(name) for (name,) in found}


def test_a_table_is_created_with_all_that_belongs_to_it(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(adopt)
    assert oid(database) is not None
    assert oid(database, "ix_labels_founded") is not None
    database.execute("INSERT INTO labels (id) VALUES (1)")
    more = database.execute("SELECT more ->> 'b' FROM labels").fetchone()
    assert more == (":x",)


@pytest.mark.quick
def test_a_table_that_is_there_is_left_as_it_is(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("CREATE TABLE labels (other text)")
    before = oid(database)
    apply(adopt)
    assert oid(database) == before
    assert oid(database, "ix_labels_founded") is None
    apply(release)
    assert oid(database) == before


def test_an_empty_table_of_ours_goes_and_leaves_nothing(
    database: psycopg.Connection, apply: Apply
) -> None:
    for _ in range(2):
        apply(adopt)
    for _ in range(2):
        apply(release)
    assert tables(database) == {"songs"}


def test_a_table_with_rows_stays_and_is_released_when_it_is_empty(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(adopt)
    database.execute("INSERT INTO labels (id) VALUES (1)")
    before = oid(database)
    apply(release)
    apply(adopt)
    assert oid(database) == before
    database.execute("DELETE FROM labels")
    apply(release)
    assert oid(database) is None


def test_a_table_that_somebody_dropped_is_released_all_the_same(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(adopt)
    database.execute("DROP TABLE labels")
    apply(release)
    assert tables(database) == {"songs"}


def test_a_table_that_something_else_depends_on_stays(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(adopt)
    database.execute("ALTER TABLE songs ADD label int REFERENCES labels")
    apply(release)
    assert oid(database) is not None
    database.execute("ALTER TABLE songs DROP label")
    apply(release)
    assert tables(database) == {"songs"}


def test_a_failing_definition_leaves_nothing(database: psycopg.Connection, apply: Apply) -> None:
    with pytest.raises(Exception, match="nothing_there"):
        apply(
            lambda op: op.adopt_table("labels", DEFINITION[0], "SELECT nothing_there FROM labels")
        )
    assert tables(database) == {"songs"}


@pytest.mark.parametrize("name", ["Odd name", 'quote"d', "it's", "100%", "a:b", "ü"])
def test_odd_names_are_quoted(database: psycopg.Connection, apply: Apply, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    apply(lambda op: op.adopt_table(name, f"CREATE TABLE {quoted} (id int)"))
    database.execute(f"INSERT INTO {quoted} VALUES (1)".encode())
    apply(lambda op: op.release_table(name))
    assert name in tables(database)
    database.execute(f"DELETE FROM {quoted}".encode())
    apply(lambda op: op.release_table(name))
    assert tables(database) == {"songs"}


def test_killed_anywhere_it_is_as_if_it_had_not_begun(proof: Proof) -> None:
    proof("adopt_table", adopt, release)


def test_the_script_does_the_same(
    empty_database_url: URL,
    database: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    def run(step: Step) -> None:
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr

    run(adopt)
    database.execute("INSERT INTO labels (id) VALUES (1)")
    more = database.execute("SELECT more ->> 'a', more ->> 'b' FROM labels").fetchone()
    assert more == ("1", ":x")
    run(adopt)
    run(release)
    assert oid(database) is not None
    database.execute("DELETE FROM labels")
    run(release)
    assert tables(database) == {"songs"}
    database.execute("CREATE TABLE labels ()")
    run(adopt)
    run(release)
    assert oid(database) is not None


def test_each_is_the_reverse_of_the_other(database: psycopg.Connection, apply: Apply) -> None:
    from pgmodern.operations.adopt_table import AdoptTable

    forward = AdoptTable("labels", DEFINITION)
    apply(lambda op: op.invoke(forward))
    assert oid(database) is not None
    apply(lambda op: op.invoke(forward.reverse()))
    assert oid(database) is None
