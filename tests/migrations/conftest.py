"""A database of the application as it is today, with rows in every table and shape."""

import json
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL

Connect = Callable[[URL], psycopg.Connection]
Rows = dict[str, list[str]]
TABLES = ("artists", "tracks", "archives", "ai_logs")

ROWS = """
INSERT INTO artists (name) SELECT 'Björk & Söhne ' || i FROM generate_series(1, 40) AS i;
INSERT INTO tracks (artist_id, title, album, duration_ms, tempo)
SELECT 1 + i % 40, 'Jóga 50% :of {it} ' || i, nullif('Homogenic ' || i % 3, 'Homogenic 0'),
       i, i / 7.0
FROM generate_series(1, 1200) AS i;
INSERT INTO ai_logs (user_id, prompt, response)
VALUES (gen_random_uuid(), 'Why?', NULL), (NULL, '', '%');
"""
DOCUMENTS = (
    '["Abba - Waterloo", "Jay-Z - 99 Problems - Live", "\\u00c9tienne Daho - \\u00c9pop\\u00e9e"]',
    '[{"artist": "Abba", "title": "Waterloo", "plays": 1.10}, {"artist": "", "title": ""}]',
    '{"tracks": [{"artistName": "Abba", "trackName": "Waterloo", "isrc": null}], "genre": "pop"}',
    '{"tracks": [{"artist": "Abba", "title": "Waterloo"}], "year": 1974, "id": 987654321098765432}',
    '{"tracks": [], "mood": {"calm": [1, 2.50]}}',
    "[]",
)


@pytest.fixture
def legacy_url(empty_database_url: URL, legacy_schema: str, connect: Connect) -> URL:
    """The legacy music database; a third of its 600 archives is encoded twice."""
    archives = []
    for number in range(600):
        text = DOCUMENTS[number % len(DOCUMENTS)]
        archives.append((f"archive {number}", json.dumps(text) if number >= 400 else text))
    with connect(empty_database_url) as database, database.transaction():
        database.execute(legacy_schema.encode())
        database.execute(ROWS.encode())
        database.cursor().executemany(
            "INSERT INTO archives (user_id, name, playlist_data) "
            "VALUES (gen_random_uuid(), %s, %s::jsonb)",
            archives,
        )
    return empty_database_url


@pytest.fixture
def rows(connect: Connect) -> Callable[[URL], Rows]:
    """Every row of the legacy tables, without the columns that the migrations add."""

    def read(url: URL) -> Rows:
        query = "SELECT (to_jsonb(t) - 'search_vector')::text FROM {} AS t ORDER BY id"
        with connect(url) as database:
            return {
                table: [str(row) for (row,) in database.execute(query.format(table).encode())]
                for table in TABLES
            }

    return read
