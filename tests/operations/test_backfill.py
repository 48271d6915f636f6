"""`op.backfill_online`: the operation; tests/test_backfill.py has the backfill itself."""

import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import URL

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Proof = Callable[..., None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

FILL = "INSERT INTO songs (title) SELECT '' FROM generate_series(1, 1200)"
SAYS = "SELECT DISTINCT title FROM songs"


def step(op: Any) -> None:
    """A backfill that makes every row's title one character longer."""
    op.backfill_online(
        "songs.title",
        table="songs",
        statement="""UPDATE songs SET title = title || '%s:x{"a":1}{}' WHERE {range}""",
    )


def forget(op: Any) -> None:
    """Make it as if the backfill had not been: that takes less time than another database."""
    op.execute("UPDATE songs SET title = ''")
    op.execute("DROP TABLE IF EXISTS pgmodern_backfill")


def test_every_row_is_visited_once_outside_a_transaction(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FILL)
    apply(step)
    assert database.execute(SAYS).fetchall() == [('%s:x{"a":1}{}',)]
    transactions = database.execute("SELECT count(DISTINCT xmin::text) FROM songs").fetchone()
    assert transactions is not None
    assert transactions[0] > 1


def test_what_a_revision_did_before_is_committed_by_then(
    database: psycopg.Connection, apply: Apply
) -> None:
    def revision(op: Any) -> None:
        op.execute("INSERT INTO songs (title) VALUES ('')")
        step(op)
        op.execute("INSERT INTO songs (title) VALUES ('later')")

    apply(revision)
    assert sorted(database.execute(SAYS)) == [('%s:x{"a":1}{}',), ("later",)]


def test_killed_anywhere_it_goes_on_where_it_stopped(proof: Proof) -> None:
    proof("backfill_online", step, forget, fill=FILL)


def test_the_script_visits_every_row_once(
    empty_database_url: URL,
    database: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    database.execute(FILL)
    done = psql(empty_database_url, script(step))
    assert done.returncode == 0, done.stderr
    assert database.execute(SAYS).fetchall() == [('%s:x{"a":1}{}',)]


def test_another_key_may_be_named(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("CREATE TABLE plays (song text, at date, n int, UNIQUE (song))")
    database.execute("INSERT INTO plays SELECT 'song ' || i, now(), 0 FROM generate_series(1, 9) i")
    apply(
        lambda op: op.backfill_online(
            "plays.n",
            table="plays",
            key="song",
            key_type="text",
            statement="UPDATE plays SET n = n + 1 WHERE {range}",
        )
    )
    assert database.execute("SELECT DISTINCT n FROM plays").fetchall() == [(1,)]
