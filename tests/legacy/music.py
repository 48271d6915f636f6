"""Playlist archives of every shape; a third of them is encoded twice."""

import json
from decimal import Decimal
from typing import Any

import psycopg

from tests.legacy import Legacy, Rows

ROWS = """
INSERT INTO artists (name) SELECT 'Björk & Söhne ' || i FROM generate_series(1, 40) AS i;
INSERT INTO tracks (artist_id, title, album, duration_ms, tempo)
SELECT 1 + i % 40, 'Jóga 50% :of {it} ' || i, nullif('Homogenic ' || i % 3, 'Homogenic 0'),
       i, i / 7.0
FROM generate_series(1, 1200) AS i;
INSERT INTO ai_logs (user_id, prompt, response)
VALUES (gen_random_uuid(), 'Why?', NULL), (NULL, '', '%');
"""
MANY_ROWS = """
INSERT INTO tracks (artist_id, title, album)
SELECT 1 + i % 40, 'Söng ' || md5(i::text), CASE WHEN i % 3 = 0 THEN 'Album ' || i % 500 END
FROM generate_series(1, 30000) AS i;
INSERT INTO archives (user_id, name, playlist_data)
SELECT gen_random_uuid(), name, playlist_data
FROM archives, generate_series(1, 3);
"""
WRONG_VECTORS = """
    SELECT (SELECT count(*) FROM artists WHERE search_vector IS DISTINCT FROM
            setweight(to_tsvector('public.simple_unaccent', name), 'A'))
         + (SELECT count(*) FROM tracks WHERE search_vector IS DISTINCT FROM
            setweight(to_tsvector('public.simple_unaccent', title), 'A')
            || setweight(to_tsvector('public.simple_unaccent', coalesce(album, '')), 'B'))
"""
DOCUMENTS = (
    '["Abba - Waterloo", "Jay-Z - 99 Problems - Live", "\\u00c9tienne Daho - \\u00c9pop\\u00e9e"]',
    '[{"artist": "Abba", "title": "Waterloo", "plays": 1.10}, {"artist": "", "title": ""}]',
    '{"tracks": [{"artistName": "Abba", "trackName": "Waterloo", "isrc": null}], "genre": "pop"}',
    '{"tracks": [{"artist": "Abba", "title": "Waterloo"}], "year": 1974, "id": 987654321098765432}',
    '{"tracks": [], "mood": {"calm": [1, 2.50]}}',
    "[]",
)


def fill(database: psycopg.Connection) -> None:
    """Insert 600 archives, and what else there is."""
    archives = []
    for number in range(600):
        text = DOCUMENTS[number % len(DOCUMENTS)]
        archives.append((f"archive {number}", json.dumps(text) if number >= 400 else text))
    database.execute(ROWS.encode())
    database.cursor().executemany(
        "INSERT INTO archives (user_id, name, playlist_data) "
        "VALUES (gen_random_uuid(), %s, %s::jsonb)",
        archives,
    )


def modern(rows: Rows) -> Rows:
    """Return the archives with their documents in the shape in which they are written today."""
    archives = [
        row | {"playlist_data": modern_document(row["playlist_data"])} for row in rows["archives"]
    ]
    return rows | {"archives": archives}


def modern_document(stored: Any) -> Any:
    """Return a document of any legacy shape as the application writes it today."""
    while isinstance(stored, str):
        stored = json.loads(stored, parse_float=Decimal)
    whole = {"tracks": stored} if isinstance(stored, list) else stored
    return whole | {"tracks": [modern_track(track) for track in whole["tracks"]]}


def modern_track(track: Any) -> Any:
    """Return a track of any legacy shape as the application writes it today."""
    if isinstance(track, str):
        artist, _, title = track.partition(" - ")
        return {"artist": artist, "title": title}
    names = {"artistName": "artist", "trackName": "title"}
    return {names.get(key, key): value for key, value in track.items()}


MUSIC = Legacy(
    name="music",
    fill=fill,
    rows={
        "artists": "to_jsonb(t) - 'search_vector'",
        "tracks": "to_jsonb(t) - 'search_vector'",
        "archives": "to_jsonb(t)",
        "ai_logs": "to_jsonb(t)",
    },
    wrong=WRONG_VECTORS,
    many=MANY_ROWS,
    modern=modern,
)
