"""`op.create_change_notification` and its reverse: who is told of changed rows, and what."""

import json
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import UndefinedColumn
from sqlalchemy import URL
from sqlalchemy.exc import ProgrammingError

from pgmodern.errors import MigrationError

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Proof = Callable[..., None]
Heard = Callable[[], list[Any]]


def create(op: Any) -> None:
    """The step that makes the triggers."""
    op.create_change_notification("songs", ["id", "title"])


def drop(op: Any) -> None:
    """The step that drops them."""
    op.drop_change_notification("songs")


@pytest.fixture
def heard(empty_database_url: URL, connect: Connect) -> Heard:
    """Return what was sent to the channel of the songs since it was last called."""
    listening = connect(empty_database_url)
    listening.execute("LISTEN songs_changed")

    def read() -> list[Any]:
        listening.execute("SELECT")  # what was committed before comes before its result
        found = [notify.payload for notify in listening.notifies(timeout=0)]
        return [json.loads(payload) if payload else "anything" for payload in found]

    return read


def test_each_statement_tells_the_keys_that_it_changed(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    apply(create)
    database.execute("INSERT INTO songs (title) VALUES ('Air'), ('é, \"x\" \\'), (NULL)")
    assert heard() == [{"id": ["1", "2", "3"], "title": ["Air", 'é, "x" \\']}]
    database.execute("UPDATE songs SET album = 'x' WHERE id = 1")
    assert heard() == [{"id": ["1"], "title": ["Air"]}]
    database.execute("DELETE FROM songs WHERE id < 3")
    assert heard() == [{"id": ["1", "2"], "title": ["Air", 'é, "x" \\']}]
    database.execute("DELETE FROM songs")
    assert heard() == [{"id": ["3"], "title": None}]


def test_of_a_key_that_changes_both_values_are_told(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('Air'), ('Earth')")
    apply(create)
    database.execute("UPDATE songs SET title = 'Fire', id = 7 WHERE id = 1")
    assert heard() == [{"id": ["1", "7"], "title": ["Air", "Fire"]}]
    database.execute(
        "INSERT INTO songs (id, title) VALUES (2, 'Water') "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title"
    )
    assert {"id": ["2"], "title": ["Earth", "Water"]} in heard()
    database.execute(
        "MERGE INTO songs USING (VALUES (7), (8)) AS new (id) ON songs.id = new.id "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, title) VALUES (8, 'Void')"
    )
    found = heard()
    assert {"id": ["8"], "title": ["Void"]} in found
    assert {"id": ["7"], "title": ["Fire"]} in found


def test_what_changes_no_row_or_is_rolled_back_tells_nothing(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('Air')")
    apply(create)
    database.execute("UPDATE songs SET title = '' WHERE id = 99")
    database.execute("DELETE FROM songs WHERE false")
    with database.transaction(force_rollback=True):
        database.execute("UPDATE songs SET title = 'Earth'")
        database.execute("TRUNCATE songs")
    assert heard() == []


def test_it_is_told_at_commit_once_however_often_it_changed(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('Air')")
    apply(create)
    with database.transaction():
        for _ in range(3):
            database.execute("UPDATE songs SET album = album || '!'")
        assert heard() == []
    assert heard() == [{"id": ["1"], "title": ["Air"]}]


@pytest.mark.parametrize(
    ("rows", "title", "told"),
    [
        (1000, "", True),  # 7,000 bytes or so
        (1001, "", False),
        (1, "x" * 7900, True),
        (1, "x" * 7999, False),
        (1, "é" * 3950, True),
        (1, "é" * 4000, False),
    ],
)
@pytest.mark.parametrize("what", ["INSERT", "UPDATE", "DELETE"])
def test_what_does_not_fit_into_a_notification_may_be_anything(
    what: str,
    rows: int,
    title: str,
    told: bool,
    database: psycopg.Connection,
    apply: Apply,
    heard: Heard,
) -> None:
    insert = (
        f"INSERT INTO songs (title) SELECT nullif('{title}', '') FROM generate_series(1, {rows})"
    )
    if what == "INSERT":
        apply(create)
        database.execute(insert.encode())
    else:
        database.execute(insert.encode())
        apply(create)
        database.execute(
            b"DELETE FROM songs" if what == "DELETE" else b"UPDATE songs SET album = ''"
        )
    (found,) = heard()
    if told and not (what == "UPDATE" and rows == 1000):  # an update's rows count twice
        assert len(found["id"]) == rows
    else:
        assert found == "anything"


def test_truncate_may_be_anything(database: psycopg.Connection, apply: Apply, heard: Heard) -> None:
    apply(create)
    database.execute("TRUNCATE songs")
    assert heard() == ["anything"]


def test_rows_that_a_foreign_key_deletes_are_told(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    database.execute("CREATE TABLE artists (id int PRIMARY KEY)")
    database.execute("ALTER TABLE songs ADD artist int REFERENCES artists ON DELETE CASCADE")
    database.execute("INSERT INTO artists VALUES (1)")
    database.execute("INSERT INTO songs (title, artist) VALUES ('Air', 1)")
    apply(create)
    database.execute("DELETE FROM artists")
    assert heard() == [{"id": ["1"], "title": ["Air"]}]


def test_of_a_partitioned_table_what_names_it_is_told(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    apply(create)
    apply(lambda op: op.partition_table_online("songs", "id", interval=1000))
    database.execute("INSERT INTO songs (id, title) VALUES (1, 'Air'), (1500, 'Earth')")
    assert heard() == [{"id": ["1", "1500"], "title": ["Air", "Earth"]}]
    partition = database.execute("SELECT tableoid::regclass::text FROM songs LIMIT 1").fetchone()
    assert partition is not None
    database.execute(f"UPDATE {partition[0]} SET album = 'x'".encode())
    assert heard() == []
    apply(drop)
    database.execute("UPDATE songs SET album = 'y'")
    assert heard() == []


def test_writes_go_on_when_a_key_column_is_renamed_or_dropped(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    apply(create)
    database.execute("ALTER TABLE songs RENAME title TO name")
    database.execute("INSERT INTO songs (name) VALUES ('Air')")
    database.execute("ALTER TABLE songs DROP name")
    database.execute("UPDATE songs SET album = 'x'")
    assert heard() == [{"id": ["1"], "title": None}] * 2


@pytest.mark.quick
def test_names_may_be_odd(database: psycopg.Connection, apply: Apply, heard: Heard) -> None:
    odd = 'new_rows: "%s" it\'s'
    names = {"schema": sql.Identifier("m's"), "odd": sql.Identifier(odd)}

    def execute(query: LiteralString) -> None:
        database.execute(sql.SQL(query).format(**names))

    execute("CREATE SCHEMA {schema}")
    execute("CREATE TABLE {schema}.{odd} (t int, changed int, {odd} text)")
    keys = ["t", "changed", odd]
    apply(
        lambda op: op.create_change_notification(odd, keys, channel="songs_changed", schema="m's")
    )
    execute("INSERT INTO {schema}.{odd} VALUES (1, 2, 'x')")
    assert heard() == [{"t": ["1"], "changed": ["2"], odd: ["x"]}]
    apply(lambda op: op.drop_change_notification(odd, schema="m's"))
    execute("DROP TABLE {schema}.{odd}")
    execute("DROP SCHEMA {schema}")


def test_the_channel_has_the_schema_s_name_too(
    database: psycopg.Connection, apply: Apply, empty_database_url: URL, connect: Connect
) -> None:
    apply(lambda op: op.create_change_notification("songs", ["id"], schema="public"))
    database.execute("LISTEN public_songs_changed")
    database.execute("INSERT INTO songs (title) VALUES ('Air')")
    assert [notify.payload for notify in database.notifies(timeout=0)] == ['{"id" : ["1"]}']


@pytest.mark.quick
@pytest.mark.parametrize(
    ("keys", "options", "words"),
    [([], {}, "No key columns"), (["id"], {"channel": "é" * 32}, "more than 63 bytes")],
)
def test_what_would_make_every_write_fail_is_refused(
    keys: list[str], options: dict[str, str], words: str, apply: Apply
) -> None:
    with pytest.raises(MigrationError, match=words):
        apply(lambda op: op.create_change_notification("songs", keys, **options))


def test_a_column_that_is_not_there_is_refused(database: psycopg.Connection, apply: Apply) -> None:
    with pytest.raises(ProgrammingError) as raised:
        apply(lambda op: op.create_change_notification("songs", ["id", "name"]))
    assert isinstance(raised.value.orig, UndefinedColumn)
    assert database.execute("SELECT FROM pg_trigger WHERE NOT tgisinternal").fetchall() == []


def test_other_keys_take_the_place_of_those_before(
    database: psycopg.Connection, apply: Apply, heard: Heard
) -> None:
    apply(create)
    apply(lambda op: op.create_change_notification("songs", ["album"]))
    database.execute("INSERT INTO songs (album) VALUES ('x')")
    assert heard() == [{"album": ["x"]}]


FILL = "INSERT INTO songs (title) SELECT 'Song ' || i FROM generate_series(1, 100) AS i"


def test_it_survives_being_killed(proof: Proof) -> None:
    proof("create_change_notification", create, drop, fill=FILL)


def test_its_reverse_survives_being_killed(proof: Proof) -> None:
    proof("drop_change_notification", drop, create, fill=FILL, first=create)
