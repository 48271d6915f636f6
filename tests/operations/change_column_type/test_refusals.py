"""What cannot be carried over or converted stops the change before the swap."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from tests.operations.change_column_type.songs import (
    OLD,
    VIBE,
    WRONG,
    Apply,
    Connect,
    Dump,
    Psql,
    Step,
    change,
    columns,
)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("CREATE VIEW seen AS SELECT plays FROM songs", "view seen"),
        ("CREATE MATERIALIZED VIEW seen AS SELECT plays FROM songs", "materialized view seen"),
        ("CREATE RULE loud AS ON UPDATE TO songs WHERE new.plays > 5 DO NOTHING", "rule loud"),
        ("ALTER TABLE songs ADD twice int GENERATED ALWAYS AS (plays * 2) STORED", "column twice"),
        ("CREATE TABLE more () INHERITS (songs)", "inherits"),
        (
            "ALTER TABLE songs ADD UNIQUE (plays);"
            "CREATE TABLE charts (plays int REFERENCES songs (plays))",
            "charts_plays_fkey on table charts",
        ),
        (
            "ALTER TABLE songs ADD UNIQUE (plays), ADD before int REFERENCES songs (plays)",
            "songs_before_fkey",
        ),
        (
            "CREATE TRIGGER loud BEFORE UPDATE OF plays ON songs FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "trigger loud",
        ),
        (
            "CREATE TRIGGER zzz BEFORE UPDATE ON songs FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "trigger zzz fires after ours",
        ),
        ("CREATE POLICY own ON songs USING (plays > 5)", "policy own"),
        ("CREATE PUBLICATION of_plays FOR TABLE songs (plays)", "publication of_plays"),
        (
            "ALTER TABLE songs ALTER plays SET NOT NULL; CREATE UNIQUE INDEX sole ON songs "
            "(plays); ALTER TABLE songs REPLICA IDENTITY USING INDEX sole",
            "sole is the replica identity",
        ),
        ("CREATE STATISTICS both_of ON plays, title FROM songs", "statistics object both_of"),
        ("ALTER TABLE songs ADD EXCLUDE USING btree (plays WITH =)", "songs_plays_excl"),
        (
            "CREATE FUNCTION most() RETURNS int BEGIN ATOMIC SELECT max(plays) FROM songs; END",
            "function most",
        ),
        ("CREATE INDEX i ON songs ((plays # 1))", "operator does not exist: text # integer"),
        ("ALTER TABLE songs ADD CHECK (plays > 1)", "operator does not exist: text > integer"),
        (
            "CREATE TABLE labels (id int PRIMARY KEY);"
            "ALTER TABLE songs ADD FOREIGN KEY (plays) REFERENCES labels",
            "operator does not exist: text = integer",
        ),
        ("ALTER TABLE songs DROP plays", "no column plays"),
        ("DROP TABLE songs", "no such table"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_before_anything_is_done(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    dump: Dump,
    made: str,
    reason: str,
) -> None:
    database.execute("ALTER TABLE songs ADD plays int")
    database.execute(made.encode())
    step = change("plays", "text", "plays::text")
    before = dump(empty_database_url)
    with pytest.raises(MigrationError, match=re.escape(reason)):
        apply(step)
    done = psql(empty_database_url, script(step))
    assert done.returncode != 0
    assert reason in done.stderr
    assert dump(empty_database_url) == before


@pytest.mark.parametrize(
    ("type_", "using", "reason"),
    [
        ("nonsense", "title", 'type "nonsense" does not exist'),
        ("int", None, "is of type integer but expression is of type text"),
        ("int", "titel::int", "titel"),
        ("int", "title::int +", "syntax error"),
        ("int", "album::int", "album"),
    ],
)
def test_an_expression_that_is_wrong_is_refused(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    dump: Dump,
    type_: str,
    using: str | None,
    reason: str,
) -> None:
    before = dump(empty_database_url)
    with pytest.raises(MigrationError, match=re.escape(reason)):
        apply(change("title", type_, using))
    assert dump(empty_database_url) == before


@pytest.mark.vector
def test_rows_that_cannot_be_converted_are_named_and_stop_it(
    vibes: psycopg.Connection, apply: Apply
) -> None:
    vibes.execute("UPDATE songs SET vibe = vibe[1:7] WHERE id IN (7, 701)")
    vibes.execute("CREATE INDEX by_vibe ON songs (vibe)")
    with pytest.raises(MigrationError, match=r"2 rows .* dimensions, not 7\. Keys: 7, 701\."):
        apply(VIBE)
    assert columns(vibes)["vibe"] == "double precision[]"
    vibes.execute("INSERT INTO songs (id, vibe) VALUES (2000, '{1,2}'), (2001, NULL)")
    with pytest.raises(MigrationError, match=r"Keys: 7, 701; .* not 2\. Keys: 2000\."):
        apply(VIBE)
    assert vibes.execute("SELECT vibe FROM songs WHERE id = 2000").fetchone() == ([1.0, 2.0],)
    vibes.execute("DELETE FROM songs WHERE id = 2000")
    vibes.execute("UPDATE songs SET vibe = vibe || 0.5 WHERE id IN (7, 701)")
    apply(VIBE)
    assert vibes.execute(WRONG.format(old=OLD).encode()).fetchone() == (0,)


@pytest.mark.vector
@pytest.mark.quick
def test_a_row_that_comes_in_late_and_cannot_be_converted_stops_the_swap(
    empty_database_url: URL,
    vibes: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    reader = connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM pg_class")
            changing = pool.submit(apply, VIBE)
            blocked(empty_database_url)  # building an index, which waits for the snapshot
            vibes.execute("INSERT INTO songs (id, vibe) VALUES (5000, '{1}')")
        with pytest.raises(MigrationError, match=r"1 rows .* Keys: 5000\."):
            changing.result()
    assert columns(vibes)["vibe"] == "double precision[]"


@pytest.mark.vector
def test_a_corrected_expression_converts_every_row_anew(
    vibes: psycopg.Connection, apply: Apply
) -> None:
    vibes.execute("UPDATE songs SET vibe = '{1}' WHERE id = 7")
    with pytest.raises(MigrationError, match="Keys: 7"):
        apply(VIBE)
    apply(change("vibe", "vector(8)", "(vibe || array_fill(1, ARRAY[8])::float8[])[2:9]"))
    found = vibes.execute("SELECT vibe::text FROM songs WHERE id IN (6, 7) ORDER BY id")
    assert [row[0].count(",1") for row in found.fetchall()] == [1, 7]


@pytest.mark.quick
def test_rows_that_break_a_constraint_once_converted_are_named(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE EXTENSION citext")
    database.execute("INSERT INTO songs (title, album) VALUES ('a', 'x'), ('A', 'y'), ('b', 'z')")
    database.execute("CREATE UNIQUE INDEX once ON songs (title)")
    database.execute("ALTER TABLE songs ADD CONSTRAINT c CHECK (album <> 'Y')")
    title, album = change("title", "citext"), change("album", "varchar(9)", "upper(album)")
    with pytest.raises(MigrationError, match=r"\(title.*\)=\(a\)"):
        apply(title)
    with pytest.raises(MigrationError, match=r"Keys: 2\."):
        apply(album)
    assert list(columns(database).values())[:3] == ["bigint", "text", "text"]
    # Stopped, it is in no writer's way.
    database.execute("INSERT INTO songs (id, title, album) VALUES (7, 'B', 'y'), (8, 'C', 'Z')")
    database.execute("DELETE FROM songs WHERE id IN (7, 8)")
    database.execute("UPDATE songs SET title = 'c', album = 'w' WHERE id = 2")
    apply(title)
    apply(album)
    found = database.execute("SELECT id, album FROM songs WHERE title = 'C'").fetchall()
    assert found == [(2, "W")]


@pytest.mark.quick
def test_a_column_of_a_type_that_was_not_expected_is_refused(
    database: psycopg.Connection, apply: Apply
) -> None:
    def step(op: Any) -> None:
        op.change_column_type_online(
            "songs", "title", "varchar(9)", existing_type="character varying"
        )

    with pytest.raises(MigrationError, match="its type is text, not character varying"):
        apply(step)
    database.execute("ALTER TABLE songs ALTER title TYPE varchar")
    apply(step)
    apply(step)
    assert columns(database)["title"] == "character varying(9)"
