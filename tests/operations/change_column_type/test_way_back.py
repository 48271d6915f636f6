"""The way back from a change of type, and the old column."""

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.environment import is_application_s
from pgmodern.errors import MigrationError
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline
from tests.operations.change_column_type.songs import (
    BACK,
    LIGHT,
    OLD,
    ROWS,
    THERE,
    VIBE,
    Apply,
    Dump,
    change,
    columns,
    drop,
    lines,
)


def test_there_and_back_every_row_is_as_it_was(
    empty_database_url: URL, database: psycopg.Connection, apply: Apply, dump: Dump
) -> None:
    database.execute(LIGHT)
    before, rows = lines(dump(empty_database_url)), database.execute(ROWS).fetchone()
    for step in (THERE, BACK, THERE, BACK, drop("plays")):
        apply(step)
        assert database.execute(ROWS).fetchone() == rows
    assert lines(dump(empty_database_url)) == before


@pytest.mark.vector
def test_going_back_keeps_what_was_written_and_what_was(
    empty_database_url: URL, vibes: psycopg.Connection, apply: Apply, dump: Dump
) -> None:
    # What a vector of floats cannot hold.
    vibes.execute("UPDATE songs SET vibe[1] = 0.1 WHERE vibe IS NOT NULL")
    before = dump(empty_database_url)
    forward = ChangeColumnTypeOnline(
        "songs", "vibe", "vector(8)", "vibe::vector(8)", "vibe::real[]::double precision[]"
    )
    apply(lambda op: op.invoke(forward))
    vibes.execute("UPDATE songs SET title = 'changed' WHERE id = 1")
    vibes.execute("UPDATE songs SET vibe = '[1,2,3,4,5,6,7,8]' WHERE id = 2")
    vibes.execute("INSERT INTO songs (id, vibe) VALUES (9000, '[8,7,6,5,4,3,2,1]')")
    for _ in range(2):
        apply(lambda op: op.invoke(forward.reverse()))
        assert lines(dump(empty_database_url)) == lines(before)
        found = vibes.execute("SELECT vibe FROM songs WHERE id IN (1, 2, 9000) ORDER BY id")
        one, two, new = (row[0] for row in found.fetchall())
        assert one[0] == 0.1
        assert two == [1, 2, 3, 4, 5, 6, 7, 8]
        assert new == [8, 7, 6, 5, 4, 3, 2, 1]
    apply(lambda op: op.invoke(forward.reverse().reverse()))
    assert columns(vibes)["vibe"] == "vector(8)"


@pytest.mark.vector
def test_going_back_without_the_old_column_converts_again(
    vibes: psycopg.Connection, apply: Apply
) -> None:
    forward = ChangeColumnTypeOnline(
        "songs", "vibe", "vector(8)", "vibe::vector(8)", "vibe::real[]::double precision[]"
    )
    apply(lambda op: op.invoke(forward))
    apply(drop("vibe"))
    apply(drop("vibe"))
    assert list(columns(vibes)) == ["id", "title", "album", "vibe"]
    for _ in range(2):
        apply(lambda op: op.invoke(forward.reverse()))
        assert columns(vibes)["vibe"] == "double precision[]"
        assert columns(vibes)[OLD] == "vector(8)"


@pytest.mark.vector
@pytest.mark.quick
def test_without_a_way_back_the_old_column_is_not_kept(
    vibes: psycopg.Connection, apply: Apply
) -> None:
    vibes.execute("DELETE FROM songs WHERE vibe IS NULL")
    vibes.execute("ALTER TABLE songs ALTER vibe SET NOT NULL, ADD CHECK (vibe IS NOT NULL)")
    forward = ChangeColumnTypeOnline("songs", "vibe", "vector(8)", "vibe::vector(8)")
    with pytest.raises(MigrationError, match="reverse_using"):
        forward.reverse()
    apply(lambda op: op.invoke(forward))
    vibes.execute("INSERT INTO songs (id, vibe) VALUES (9000, '[8,7,6,5,4,3,2,1]')")
    kept = vibes.execute(f"SELECT {OLD} FROM songs WHERE id = 9000".encode()).fetchone()
    assert kept == (None,)
    assert vibes.execute("SELECT count(*) FROM pg_trigger").fetchone() == (0,)
    with pytest.raises(MigrationError, match="drop_replaced_column"):
        apply(change("vibe", "double precision[]", "vibe::real[]::double precision[]"))


def test_another_change_waits_for_the_old_column_to_be_dropped(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ADD plays smallint")
    apply(change("plays", "int"))
    with pytest.raises(MigrationError, match="drop_replaced_column"):
        apply(change("plays", "bigint"))
    apply(drop("plays"))
    apply(change("plays", "bigint"))
    assert columns(database)["plays"] == "bigint"


@pytest.mark.vector
def test_dropping_midway_leaves_the_change_alone(vibes: psycopg.Connection, apply: Apply) -> None:
    vibes.execute("UPDATE songs SET vibe = '{1}' WHERE id = 7")
    with pytest.raises(MigrationError, match="Keys: 7"):
        apply(VIBE)
    before = columns(vibes)
    apply(drop("vibe"))
    assert columns(vibes) == before
    assert vibes.execute("SELECT count(*) FROM pg_trigger").fetchone() == (1,)


@pytest.mark.vector
def test_autogenerate_does_not_see_the_old_column(vibes: psycopg.Connection, apply: Apply) -> None:
    apply(VIBE)
    seen = [name for name in columns(vibes) if is_application_s(name, "column", {})]
    assert seen == ["id", "title", "album", "vibe"]
