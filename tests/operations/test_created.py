"""The record of what the migrations created."""

from collections.abc import Callable
from typing import Any

import psycopg

Apply = Callable[[Callable[[Any], object]], None]
RECORD = "SELECT kind, name FROM pgmodern_created ORDER BY kind, name"


def test_only_what_was_not_there_is_recorded(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("CREATE EXTENSION pg_trgm")

    def step(op: Any) -> None:
        op.adopt_table("songs", "CREATE TABLE songs ()")
        op.adopt_table("labels", "CREATE TABLE labels ()")
        op.create_extension("pg_trgm")
        op.create_extension("unaccent")

    for _ in range(2):
        apply(step)
        assert database.execute(RECORD).fetchall() == [
            ("extension", "unaccent"),
            ("table", "labels"),
        ]


def test_what_is_dropped_is_forgotten_and_what_stays_is_not(
    database: psycopg.Connection, apply: Apply
) -> None:
    def step(op: Any) -> None:
        op.adopt_table("labels", "CREATE TABLE labels (id int)")
        op.create_extension("unaccent")

    apply(step)
    database.execute("INSERT INTO labels VALUES (1)")
    apply(lambda op: (op.release_table("labels"), op.drop_extension("unaccent")))
    assert database.execute(RECORD).fetchall() == [("table", "labels")]


def test_an_empty_record_goes_too(database: psycopg.Connection, apply: Apply) -> None:
    apply(lambda op: op.adopt_table("songs", "CREATE TABLE songs ()"))
    assert database.execute(RECORD).fetchall() == []
    apply(lambda op: op.release_table("songs"))
    assert database.execute("SELECT to_regclass('pgmodern_created')").fetchone() == (None,)
    assert database.execute("SELECT count(*) FROM songs").fetchone() == (0,)
