"""Foreign keys that no index serves."""

from typing import Any

import pytest

from pgmodern.doctor import Kind

ALBUMS = "CREATE TABLE albums (id int, disc int, name text UNIQUE, PRIMARY KEY (id, disc))"
SONGS = """CREATE TABLE songs (title text, album int, disc int, name text REFERENCES albums (name),
    FOREIGN KEY (album, disc) REFERENCES albums)"""
ONE, TWO = "songs_name_fkey", "songs_album_disc_fkey"


@pytest.mark.quick
def test_what_is_missing_is_found_and_its_cure_builds_it(patient: Any) -> None:
    patient.execute(ALBUMS, SONGS)
    found = patient.findings()
    assert found[0] == {
        "kind": "unindexed-foreign-key",
        "severity": "warning",
        "schema": "public",
        "table": "songs",
        "name": TWO,
        "detail": "no index on (album, disc): each delete or change of key in albums reads all of "
        "songs",
        "cure": "op.create_index_online('ix_songs_album_disc', 'songs', ['album', 'disc'], "
        "unique=False)",
    }
    assert [each["name"] for each in found] == [TWO, ONE]
    for each in found:
        patient.cure(each)
    assert patient.findings() == []


@pytest.mark.parametrize(
    ("index", "found"),
    [
        ("(album, disc)", [ONE]),
        ("(disc, album)", [ONE]),
        ("(disc, album, title)", [ONE]),
        ("(name)", [TWO]),
        ("(name DESC NULLS LAST, title)", [TWO]),
        ("USING hash (name)", [TWO]),
        ("(name) WHERE name IS NOT NULL", [TWO]),
        ("(album, disc) WHERE album IS NOT NULL AND disc IS NOT NULL", [ONE]),
        ("(disc, album) WHERE disc IS NOT NULL", [ONE]),
        ("(album)", [TWO, ONE]),
        ("(album) INCLUDE (disc)", [TWO, ONE]),
        ("(album, title, disc)", [TWO, ONE]),
        ("(title, name)", [TWO, ONE]),
        ("(lower(name))", [TWO, ONE]),
        ('(name COLLATE "C")', [TWO, ONE]),
        ("USING brin (name)", [TWO, ONE]),
        ("(name) WHERE title IS NOT NULL", [TWO, ONE]),
        ("(name) WHERE name IS NULL", [TWO, ONE]),
        ("(name) WHERE name <> ''", [TWO, ONE]),
        ("(name) WHERE name IS NOT NULL AND title <> ''", [TWO, ONE]),
        ("(name) WHERE name IS NOT NULL OR title IS NOT NULL", [TWO, ONE]),
        ("(album, disc) WHERE title IS NOT NULL AND disc IS NOT NULL", [TWO, ONE]),
    ],
)
def test_any_index_that_begins_with_the_columns_serves(
    patient: Any, index: str, found: list[str]
) -> None:
    patient.execute(ALBUMS, SONGS, f"CREATE INDEX ix ON songs {index}")
    assert patient.names(Kind.UNINDEXED_FOREIGN_KEY) == found


def test_an_invalid_index_serves_none(patient: Any) -> None:
    patient.execute(ALBUMS, SONGS, "CREATE INDEX ix ON songs (name)")
    patient.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix'::regclass")
    assert patient.names(Kind.UNINDEXED_FOREIGN_KEY) == [TWO, ONE]


@pytest.mark.quick
def test_an_index_that_has_the_cure_s_name_is_not_replaced(patient: Any) -> None:
    patient.execute(ALBUMS, SONGS, "CREATE INDEX ix_songs_name ON songs (title)")
    (found,) = (each for each in patient.findings() if each["name"] == ONE)
    patient.cure(found)
    assert patient.names() == [TWO]
    query = "SELECT pg_get_indexdef('ix_songs_name'::regclass)"
    assert patient.database.execute(query).fetchone()[0].endswith("(title)")


def test_a_partitioned_table_s_is_found_once_and_cured_as_a_whole(patient: Any) -> None:
    patient.execute(
        "CREATE TABLE songs (id int PRIMARY KEY)",
        "CREATE TABLE plays (at date, song int REFERENCES songs) PARTITION BY RANGE (at)",
        "CREATE TABLE plays_1 PARTITION OF plays FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE TABLE plays_2 PARTITION OF plays FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    )
    (found,) = patient.findings()
    assert (found["table"], found["name"]) == ("plays", "plays_song_fkey")
    assert found["cure"] == "op.create_index('ix_plays_song', 'plays', ['song'], unique=False)"
    patient.cure(found)
    assert patient.findings() == []


def test_a_key_to_a_partitioned_table_is_one(patient: Any) -> None:
    patient.execute(
        "CREATE TABLE songs (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE songs_1 PARTITION OF songs FOR VALUES FROM (1) TO (10)",
        "CREATE TABLE plays (song int REFERENCES songs)",
    )
    assert patient.names() == ["plays_song_fkey"]


@pytest.mark.since(18, "NOT ENFORCED foreign keys")
def test_one_that_is_not_enforced_needs_none(patient: Any) -> None:
    patient.execute("CREATE TABLE songs (id int PRIMARY KEY)")
    patient.execute("CREATE TABLE plays (song int REFERENCES songs NOT ENFORCED)")
    assert patient.findings() == []
