"""`op.set_column_expression` and `op.drop_column_expression`."""

import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from alembic.operations.ops import CreateIndexOp
from psycopg.errors import GeneratedAlways
from sqlalchemy import URL, Column, Computed, Text
from sqlalchemy.exc import DBAPIError

from pgmodern.errors import MigrationError
from pgmodern.operations.column_expression import DropColumnExpression, SetColumnExpression
from pgmodern.quoting import quoted

Step = Callable[[Any], object]
Proof = Callable[..., None]
Apply = Callable[[Step], None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
Dump = Callable[[URL], str]

FILL = (
    "ALTER TABLE songs ADD loud text GENERATED ALWAYS AS (upper(title)) STORED; "
    "INSERT INTO songs (title) VALUES ('a'), ('b'), (NULL)"
)


@pytest.fixture
def generated(database: psycopg.Connection) -> psycopg.Connection:
    """The database, where the songs have a generated column and an index on it."""
    database.execute(FILL.encode())
    database.execute("CREATE INDEX ix ON songs (loud)")
    return database


def change(
    expression: str = "title || '!: %'", table: str = "songs", column: str = "loud", **options: Any
) -> Step:
    """Return the step that gives the column this expression."""
    return lambda op: op.set_column_expression(table, column, expression, **options)


def drop(op: Any) -> None:
    """The step that makes it a column like the others."""
    op.drop_column_expression("songs", "loud")


def loud(database: psycopg.Connection) -> list[Any]:
    """Return the values of the column."""
    return [value for (value,) in database.execute("SELECT loud FROM songs ORDER BY id")]


@pytest.mark.since(17, "SET EXPRESSION")
def test_killed_anywhere_another_expression_is_as_if_it_had_not_begun(proof: Proof) -> None:
    proof("set_column_expression", change(), change("upper(title)"), fill=FILL)


def test_killed_anywhere_dropping_it_is_as_if_it_had_not_begun(proof: Proof) -> None:
    proof("drop_column_expression", drop, fill=FILL)


@pytest.mark.since(17, "SET EXPRESSION")
def test_every_row_is_generated_anew(generated: psycopg.Connection, apply: Apply) -> None:
    for _ in range(2):
        apply(change())
        assert loud(generated) == ["a!: %", "b!: %", None]
    generated.execute("UPDATE songs SET title = 'c' WHERE id = 3")
    assert loud(generated)[2] == "c!: %"


@pytest.mark.quick
def test_an_older_server_is_refused_with_the_cure(
    generated: psycopg.Connection, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    if generated.info.server_version >= 170_000:
        monkeypatch.setattr("pgmodern.operations.column_expression._SINCE", 99)
    with pytest.raises(MigrationError, match="cannot give a column another expression") as raised:
        apply(change())
    assert "drop the column and add it anew" in raised.value.cure
    assert loud(generated) == ["A", "B", None]


@pytest.mark.parametrize(
    "step", [pytest.param(change(), marks=pytest.mark.since(17, "SET EXPRESSION")), drop]
)
def test_a_column_that_is_not_generated_is_refused(
    database: psycopg.Connection, apply: Apply, step: Step
) -> None:
    database.execute("ALTER TABLE songs ADD loud text")
    with pytest.raises(DBAPIError, match=r"not a (stored )?generated column"):
        apply(step)


@pytest.mark.since(17, "SET EXPRESSION")
def test_an_expression_that_makes_no_sense_changes_nothing(
    generated: psycopg.Connection, apply: Apply
) -> None:
    with pytest.raises(DBAPIError, match="nothing"):
        apply(change("nothing + 1"))
    assert loud(generated) == ["A", "B", None]


def test_one_that_is_dropped_keeps_its_values_and_can_be_written(
    generated: psycopg.Connection, apply: Apply
) -> None:
    with pytest.raises(GeneratedAlways):
        generated.execute("UPDATE songs SET loud = 'x'")
    apply(drop)
    assert loud(generated) == ["A", "B", None]
    generated.execute("UPDATE songs SET loud = 'x' WHERE id = 1")
    generated.execute("UPDATE songs SET title = 'z'")
    assert loud(generated) == ["x", "B", None]


@pytest.mark.since(17, "SET EXPRESSION")
@pytest.mark.parametrize("schema", [None, 'Other "%s":'])
def test_odd_names_and_another_schema(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    schema: str | None,
) -> None:
    if schema:
        database.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    table, column = "Odd \"%s: {t}'", "the %s \"Key' :x"
    there = quoted(table, schema)
    database.execute(
        f'CREATE TABLE {there} ("a:b%" int, {quoted(column)} int '
        'GENERATED ALWAYS AS ("a:b%") STORED)'.encode()
    )
    database.execute(f"INSERT INTO {there} VALUES (5)".encode())
    read = f"SELECT {quoted(column)} FROM {there}".encode()

    def run_script(step: Step) -> None:
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr

    for run, by in ((apply, 2), (run_script, 3)):
        expression = f'"a:b%" % 3 * {by}'
        run(change(expression, table, column, schema=schema))
        assert database.execute(read).fetchone() == (2 * by,)
    run_script(lambda op: op.drop_column_expression(table, column, schema=schema))
    database.execute(f"UPDATE {there} SET {quoted(column)} = 1".encode())


@pytest.mark.since(17, "SET EXPRESSION")
def test_another_expression_knows_its_way_back(generated: psycopg.Connection, apply: Apply) -> None:
    forward = SetColumnExpression("songs", "loud", "lower(title)", "public", "upper(title)")
    apply(lambda op: op.invoke(forward))
    assert loud(generated) == ["a", "b", None]
    apply(lambda op: op.invoke(forward.reverse()))
    assert loud(generated) == ["A", "B", None]
    with pytest.raises(ValueError, match="loud"):
        SetColumnExpression("songs", "loud", "lower(title)").reverse()


@pytest.mark.quick
def test_the_way_back_generates_the_column_and_its_indexes_anew(
    empty_database_url: URL, generated: psycopg.Connection, dump: Dump, apply: Apply
) -> None:
    before = dump(empty_database_url)
    forward = DropColumnExpression(
        "songs",
        "loud",
        None,
        Column("loud", Text, Computed("upper(title)", persisted=True)),
        Column("loud", Text),
    )
    forward.indexes = [CreateIndexOp("ix", "songs", ["loud"])]
    apply(lambda op: op.invoke(forward))
    generated.execute("UPDATE songs SET loud = 'x'")
    reverse = forward.reverse()
    apply(lambda op: [op.invoke(each) for each in reverse.ops])  # type: ignore[attr-defined]
    assert loud(generated) == ["A", "B", None]
    assert dump(empty_database_url) == before
    with pytest.raises(ValueError, match="loud"):
        DropColumnExpression("songs", "loud").reverse()


@pytest.mark.quick
@pytest.mark.since(18, "virtual columns")
def test_a_virtual_one_is_changed_without_a_row_and_not_dropped(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ADD loud text GENERATED ALWAYS AS (upper(title)) VIRTUAL")
    database.execute("INSERT INTO songs (title) VALUES ('a')")
    rows = "SELECT pg_relation_filenode('songs')"
    before = database.execute(rows).fetchone()
    apply(change())
    assert loud(database) == ["a!: %"]
    assert database.execute(rows).fetchone() == before
    with pytest.raises(DBAPIError, match="virtual"):
        apply(drop)
