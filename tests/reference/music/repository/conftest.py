"""The large library, and a small one of the Beatles."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import URL, create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern.reference.music import (
    AIInteractionEmbedding,
    AIInteractionEmbeddingRepository,
    Artist,
    NewEmbedding,
    Track,
)
from pgmodern.testing.databases import database
from tests.reference.music.repository.library import (
    ARCHIVES,
    ARTIST_NAMES,
    ARTISTS,
    CHANCE,
    EMBEDDINGS,
    START,
    TITLES,
    TRACKS,
    USERS,
    VECTORS,
)


def playlist(number: int) -> dict[str, Any]:
    tracks = [
        {"artist": ARTIST_NAMES[track % ARTISTS], "title": TITLES[track]}
        for track in CHANCE.sample(range(TRACKS), 15)
    ]
    return {
        "tracks": tracks,
        "genre": f"genre {number % 60}",
        "mood": f"mood {number % 70}",
        "source": f"source {number % 80}",
        "year": 1900 + number % 120,
    }


def _load(driver: psycopg.Connection[Any]) -> None:
    rows: dict[str, Iterator[tuple[Any, ...]]] = {
        "artists (id, name)": enumerate(ARTIST_NAMES),
        "tracks (id, artist_id, title, album)": (
            (number, number % ARTISTS, title, TITLES[-number % 500] if number % 3 else None)
            for number, title in enumerate(TITLES)
        ),
        "archives (id, user_id, name, playlist_data, created_at)": (
            (
                uuid.UUID(int=number),
                USERS[number % len(USERS)],
                f"Playlist {number}",
                Jsonb(playlist(number)),
                START + timedelta(minutes=number // 2),
            )
            for number in range(ARCHIVES)
        ),
        "ai_logs (id, user_id, prompt, response)": (
            (number, USERS[number % len(USERS)], f"prompt {number}", f"response {number}")
            for number in range(EMBEDDINGS)
        ),
    }
    for table, values in rows.items():
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in values:
                copy.write_row(row)


@pytest.fixture(scope="session")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database of a realistic size; every test rolls back what it did."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with Session(engine) as session:
            driver = session.connection().connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            _load(driver)
            vectors = AIInteractionEmbedding.embedding_hnsw  # built at once, for speed
            vectors.drop(session.connection())
            AIInteractionEmbeddingRepository(session).save(
                NewEmbedding(number, USERS[number % len(USERS)], "m", "hash", vector)
                for number, vector in enumerate(VECTORS)
            )
            vectors.create(session.connection())
            session.commit()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            # Two sessions of one test that wait for each other would do so for ever.
            connection.execute(text(f"ALTER DATABASE {url.database} SET lock_timeout = '5s'"))
        yield url


@pytest.fixture
def beatles(session: Session) -> Session:
    """A session with a few tracks that everybody knows, among all the others."""
    artist = Artist(id=90_001, name="The Beatles")
    session.add_all([artist, Artist(id=90_002, name="Beyoncé")])
    session.flush()
    tracks = [
        Track(id=90_001, artist_id=90_001, title="Yesterday", album="Help!"),
        Track(id=90_002, artist_id=90_001, title="Hello, Goodbye"),
        Track(id=90_003, artist_id=90_002, title="Déjà Vu", album="B'Day"),
        Track(id=90_004, artist_id=90_001, title="Help!", album="Help!"),
    ]
    session.add_all(tracks)
    session.flush()
    return session
