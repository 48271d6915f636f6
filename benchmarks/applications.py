"""The four applications as they are today: real rows in their tables, and what they do all day."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Engine, text

from benchmarks import conversations, documents, fragrance, vibe
from benchmarks.database import copy
from benchmarks.dataset import Dataset, Song
from tests.kills import libpq
from tests.legacy import Legacy
from tests.legacy.audio import AUDIO
from tests.legacy.chat import CHAT
from tests.legacy.fragrance import FRAGRANCE
from tests.legacy.music import MUSIC

ROWS = 100_000  # at least, in each application's large tables
LIVE = "11111111-1111-4111-8111-111111111111"  # whom the rows belong to that come and go
FIRST_LIVE = 1_000_000


@dataclass(frozen=True, slots=True)
class Application:
    """What one of them has, and what it does while its database is changed.

    `statements` are given a number up to ROWS. What they write into rows that were there before
    is what these rows hold already; rows of their own are those that `live` tells, by table.
    """

    legacy: Legacy
    load: Callable[[Engine, Dataset], None]
    statements: tuple[str, ...]
    live: Mapping[str, str]

    def create(self, engine: Engine, dataset: Dataset) -> None:
        """Make its tables, with a few very odd rows and very many real ones."""
        with psycopg.connect(libpq(engine.url), autocommit=True) as database:
            self.legacy.create(database)
        self.load(engine, dataset)


def any_of(table: str, columns: str = "id") -> str:
    """Return a query of a row at random, by its uuid."""
    return f"SELECT {columns} FROM {table} WHERE id > md5(%(id)s::text)::uuid ORDER BY id LIMIT 1"


def touch(table: str, column: str, row: str) -> str:
    """Return an UPDATE that changes nothing."""
    return f"UPDATE {table} SET {column} = {column} WHERE {row}"


def load_music(engine: Engine, dataset: Dataset) -> None:
    """Load the tracks and their artists, and archives of every release."""
    songs = dataset.tracks()
    first = 1_000  # artists that are there
    ids = {name: first + n for n, name in enumerate(dict.fromkeys(s.artist for s in songs))}
    artists = [*((number, name) for name, number in ids.items()), (FIRST_LIVE, "live")]
    copy(engine, "artists", ["id", "name"], artists)
    tracks = ((ids[song.artist], song.title) for song in songs)
    copy(engine, "tracks", ["artist_id", "title"], tracks)
    playlists = documents.archives(songs, dataset.playlists("cumulative"))
    rows = documents.rows(list(playlists))
    archives = (
        (user, name, of_release(number, document), at)
        for number, (user, name, document, at) in enumerate(rows)
    )
    copy(engine, "archives", ["user_id", "name", "playlist_data", "created_at"], archives)


def of_release(number: int, document: str) -> str:
    """Return a playlist as one of four releases wrote it, the older ones some encoded twice."""
    release, whole = number % 4, json.loads(document)
    if release == 3:
        return document
    songs = [Song(each["title"], each["artist"]) for each in whole["tracks"]]
    written: Any = [
        [f"{song.artist} - {song.title}" for song in songs],
        [{"artist": song.artist, "title": song.title} for song in songs],
        whole | {"tracks": [{"artistName": s.artist, "trackName": s.title} for s in songs]},
    ][release]
    found = json.dumps(written, ensure_ascii=False)
    return json.dumps(found, ensure_ascii=False) if number % 3 == 0 else found


def load_chat(engine: Engine, dataset: Dataset) -> None:
    """Load the conversations and one more, which the workload holds."""
    conversations.load(engine, dataset)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO conversations (id, user_id, influencer_id) "
                f"SELECT '{LIVE}', 'live', id FROM ai_influencers LIMIT 1"
            )
        )


def load_audio(engine: Engine, dataset: Dataset) -> None:
    """Load samples with the songs' titles and the songs' vectors, and what some sound like."""
    chance = np.random.default_rng(vibe.SEED)
    with engine.connect() as connection:
        first = int(connection.scalar(text("SELECT max(id) + 1 FROM samples")) or 1)
    titles = [song.title for song in dataset.tracks()[:ROWS]]
    tempos = chance.uniform(60, 180, size=ROWS)
    copy(engine, "samples", ["title", "bpm"], zip(titles, map(float, tempos), strict=True))
    sounds = ((number, "dark", float(tempo / 180)) for number, tempo in enumerate(tempos, first))
    copy(engine, "vibe_analysis", ["sample_id", "mood", "energy"], sounds)
    vibe.load_arrays(engine, vibe.turned(dataset.vectors()[:ROWS]), first)


def load_fragrances(engine: Engine, dataset: Dataset) -> None:
    """Load the fragrances and, without embeddings, more of their names, and their users."""
    perfumes = dataset.perfumes()
    vectors = fragrance.smells(perfumes)

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(ROWS):
            again, which = divmod(number, len(perfumes))
            perfume = perfumes[which]
            embedding = None if again else json.dumps(vectors[which].tolist())
            facts = (perfume.brand, perfume.description, json.dumps(perfume.accords))
            rating = (perfume.rating_value, perfume.rating_count)
            yield (f"{perfume.name} {again or ''}", *facts, *rating, embedding)

    columns = ["name", "brand", "description", "accords", "rating_value", "rating_count"]
    copy(engine, "fragrances", [*columns, "embedding"], rows())
    emails = ((f"{number}@example.org",) for number in range(ROWS))
    copy(engine, "users", ["email"], emails)


SOMETIMES = "%(id)s %% 2 = 0"
APPLICATIONS = (
    Application(
        MUSIC,
        load_music,
        (
            "SELECT t.title, a.name FROM tracks t JOIN artists a ON a.id = artist_id "
            "WHERE t.id = %(id)s",
            touch("tracks", "title", "id = %(id)s"),
            touch("artists", "name", "id = 1000 + %(id)s / 10"),
            f"INSERT INTO tracks (artist_id, title) VALUES ({FIRST_LIVE}, 'live ' || %(id)s)",
            "DELETE FROM tracks WHERE id = (SELECT min(id) FROM tracks "
            f"WHERE artist_id = {FIRST_LIVE}) AND {SOMETIMES}",
            any_of("archives", "playlist_data"),
            touch("archives", "playlist_data", f"id = ({any_of('archives')})"),
            "INSERT INTO archives (user_id, name, playlist_data) "
            f"""VALUES ('{LIVE}', 'live', '["Abba - Waterloo"]')""",
            "DELETE FROM archives WHERE id = (SELECT id FROM archives "
            f"WHERE user_id = '{LIVE}' LIMIT 1) AND {SOMETIMES}",
            "INSERT INTO ai_logs (prompt, model) VALUES ('live ' || %(id)s, 'live')",
        ),
        {
            "tracks": f"artist_id = {FIRST_LIVE}",
            "archives": f"user_id = '{LIVE}'",
            "ai_logs": "model IS NOT DISTINCT FROM 'live'",
        },
    ),
    Application(
        CHAT,
        load_chat,
        (
            "SELECT id, content FROM messages WHERE conversation_id = "
            f"({any_of('conversations')}) ORDER BY created_at DESC LIMIT 20",
            any_of("ai_influencers", "personality_traits"),
            touch("ai_influencers", "personality_traits", f"id = ({any_of('ai_influencers')})"),
            touch("messages", "content", f"id = ({any_of('messages')})"),
            touch("conversations", "updated_at", f"id = ({any_of('conversations')})"),
            "INSERT INTO messages (conversation_id, role, content) "
            f"VALUES ('{LIVE}', 'user', 'live ' || %(id)s)",
            "DELETE FROM messages WHERE id = (SELECT id FROM messages WHERE "
            f"conversation_id = '{LIVE}' ORDER BY created_at DESC LIMIT 1) AND {SOMETIMES}",
        ),
        {"messages": f"conversation_id = '{LIVE}'"},
    ),
    Application(
        AUDIO,
        load_audio,
        (
            # Cast, so that the type of what a prepared statement returns stays the same.
            "SELECT vibe_vector::real[] FROM sample_embeddings WHERE sample_id = %(id)s",
            touch("samples", "title", "id = %(id)s"),
            touch("vibe_analysis", "mood", "sample_id = %(id)s"),
            touch("sample_embeddings", "embedding_source", "sample_id = %(id)s"),
            touch("sample_embeddings", "vibe_vector", "sample_id = %(id)s"),
            "INSERT INTO samples (id, title) "
            f"SELECT greatest(max(id), {FIRST_LIVE}) + 1, 'live ' || %(id)s FROM samples",
            "INSERT INTO sample_embeddings (sample_id, vibe_vector) "
            "SELECT max(id), array_fill(%(id)s::double precision, ARRAY[1536]) FROM samples",
            "DELETE FROM sample_embeddings WHERE sample_id = "
            f"(SELECT max(id) FROM samples WHERE id > {FIRST_LIVE}) AND {SOMETIMES}",
            "DELETE FROM samples WHERE id = "
            f"(SELECT max(id) FROM samples WHERE id > {FIRST_LIVE}) AND NOT EXISTS "
            "(SELECT FROM sample_embeddings WHERE sample_id = samples.id)",
        ),
        {"samples": f"id > {FIRST_LIVE}", "sample_embeddings": f"sample_id > {FIRST_LIVE}"},
    ),
    Application(
        FRAGRANCE,
        load_fragrances,
        (
            any_of("fragrances", "name, brand, embedding"),
            touch("fragrances", "description", f"id = ({any_of('fragrances')})"),
            touch("fragrances", "embedding", f"id = ({any_of('fragrances')})"),
            touch("users", "email", f"id = ({any_of('users')})"),
            "INSERT INTO users (email) VALUES ('live ' || gen_random_uuid())",
            "INSERT INTO fragrances (id, name, brand, embedding) VALUES (overlay("
            "gen_random_uuid()::text PLACING '00000000' FROM 1)::uuid, 'live', '', "
            "array_fill(%(id)s::real, ARRAY[2048]))",
            "DELETE FROM fragrances WHERE id = (SELECT id FROM fragrances ORDER BY id LIMIT 1) "
            f"AND id < '{'1'.zfill(8)}-0000-0000-0000-000000000000' AND {SOMETIMES}",
        ),
        {
            "users": "email LIKE 'live %'",
            "fragrances": f"id < '{'1'.zfill(8)}-0000-0000-0000-000000000000'",
        },
    ),
)
