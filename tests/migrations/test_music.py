"""What the migrations do to a live music database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import URL

from tests.legacy.music import MUSIC

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
Migrate = Callable[..., None]

WITHOUT_VERSION = "--exclude-table=*.alembic_version"


@pytest.mark.reference
def test_every_legacy_row_gets_its_search_vector(
    legacy_url: URL, connect: Connect, migrate: Migrate
) -> None:
    migrate(legacy_url)
    database = connect(legacy_url)
    found = database.execute(
        "SELECT count(*) FROM tracks WHERE search_vector @@ "
        "websearch_to_tsquery('public.simple_unaccent', 'joga homogenic')"
    ).fetchone()
    assert found == (800,)
    assert database.execute(MUSIC.wrong).fetchone() == (0,)


@pytest.mark.reference
def test_the_tables_may_be_in_another_schema_of_the_search_path(
    empty_database_url: URL, legacy_schema: str, connect: Connect, migrate: Migrate, dump: Dump
) -> None:
    database = connect(empty_database_url)
    database.execute("CREATE SCHEMA app")
    database.execute("SET search_path = app, public")
    database.execute(legacy_schema.encode())
    database.execute("INSERT INTO artists (name) VALUES ('Abba')")
    before = dump(empty_database_url)
    url = empty_database_url.update_query_dict({"options": "-c search_path=app,public"})
    migrate(url)
    assert database.execute(MUSIC.wrong).fetchone() == (0,)
    migrate(url, "base")
    assert dump(empty_database_url, WITHOUT_VERSION) == before


def test_an_application_goes_on_writing_during_the_upgrade(
    legacy_url: URL, head: str, connect: Connect, migrate: Migrate, dump: Dump
) -> None:
    writer, stop = connect(legacy_url), threading.Event()

    def write() -> int:
        count = 0
        while not stop.is_set():
            count += 1
            writer.execute("INSERT INTO artists (name) VALUES (%s)", [f"Måneskin {count}"])
            writer.execute("UPDATE tracks SET title = %s WHERE id = %s", [f"Zitti {count}", count])
            writer.execute(
                "INSERT INTO archives (user_id, name, playlist_data) "
                "VALUES (gen_random_uuid(), 'new', '{\"tracks\": []}')"
            )
        return count

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        try:
            migrate(legacy_url)
        finally:
            stop.set()
        written = writing.result()
    assert dump(legacy_url) == head
    assert writer.execute(MUSIC.wrong).fetchone() == (0,)
    found = writer.execute("SELECT count(*) FROM artists WHERE name LIKE 'Måneskin %'").fetchone()
    assert found == (written,)
    kept = writer.execute("SELECT count(*) FROM archives WHERE name = 'new'").fetchone()
    assert kept == (written,)
