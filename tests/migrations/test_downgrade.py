"""A downgrade destroys nothing that somebody still has."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import URL

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
Migrate = Callable[..., None]

INFLUENCER = (
    "INSERT INTO ai_influencers (name, display_name, system_instructions) VALUES ('', '', '')"
)
CONVERSATION = (
    f"WITH i AS ({INFLUENCER} RETURNING id), "
    "c AS (INSERT INTO conversations (user_id, influencer_id) SELECT '', id FROM i RETURNING id) "
)
ARCHIVE = "INSERT INTO archives (user_id, name, playlist_data) VALUES (gen_random_uuid(), '', '7')"
SAMPLE = "INSERT INTO samples (title) VALUES ('Loop')"

USER = "INSERT INTO users (email) VALUES ('jane@example.org')"
FRAGRANCE = "INSERT INTO fragrances (name, brand) VALUES ('Eau', 'Maison')"


@pytest.mark.parametrize(
    ("insert", "kept"),
    [
        ("INSERT INTO artists (name) VALUES ('Abba')", {"artists"}),
        (
            "WITH a AS (INSERT INTO artists (name) VALUES ('Abba') RETURNING id) "
            "INSERT INTO tracks (artist_id, title) SELECT id, 'Waterloo' FROM a",
            {"artists", "tracks"},
        ),
        (ARCHIVE, {"archives"}),
        ("INSERT INTO ai_logs (prompt) VALUES ('Why?')", {"ai_logs"}),
        (
            "WITH log AS (INSERT INTO ai_logs (prompt) VALUES ('Why?') RETURNING id) "
            "INSERT INTO ai_interaction_embeddings (ai_log_id, model_name, content_hash, embedding)"
            " SELECT id, 'm', '', array_fill(1, ARRAY[1536])::vector FROM log",
            {"ai_logs", "ai_interaction_embeddings"},
        ),
        (
            f"WITH archive AS ({ARCHIVE} RETURNING id) INSERT INTO unreadable_archives "
            "(archive_id, reason) SELECT id, 'is a number' FROM archive",
            {"archives", "unreadable_archives"},
        ),
        (INFLUENCER, {"ai_influencers"}),
        (f"{CONVERSATION} SELECT FROM c", {"ai_influencers", "conversations"}),
        (
            f"{CONVERSATION} INSERT INTO messages (conversation_id, role) SELECT id, '' FROM c",
            {"ai_influencers", "conversations", "messages"},
        ),
        (SAMPLE, {"samples"}),
        (
            f"WITH sample AS ({SAMPLE} RETURNING id) "
            "INSERT INTO vibe_analysis (sample_id) SELECT id FROM sample",
            {"samples", "vibe_analysis"},
        ),
        (
            f"WITH sample AS ({SAMPLE} RETURNING id) INSERT INTO sample_embeddings "
            "(sample_id, vibe_vector) SELECT id, array_fill(1, ARRAY[1536])::vector FROM sample",
            {"samples", "sample_embeddings"},
        ),
        (USER, {"users"}),
        (FRAGRANCE, {"fragrances"}),
        (
            f"WITH jane AS ({USER} RETURNING id), eau AS ({FRAGRANCE} RETURNING id) "
            "INSERT INTO user_interaction_events (user_id, fragrance_id, event_type) "
            "SELECT jane.id, eau.id, 'view' FROM jane, eau",
            {"users", "fragrances", "user_interaction_events"},
        ),
        (
            f"WITH one AS ({FRAGRANCE} RETURNING id), two AS ({FRAGRANCE} RETURNING id) "
            "INSERT INTO fragrance_relationships (fragrance_id, related_id, kind, weight) "
            "SELECT one.id, two.id, 'alike', 1 FROM one, two",
            {"fragrances", "fragrance_relationships"},
        ),
        (
            "UPDATE algorithm_performance SET alpha = 2 WHERE algorithm = 'content_based'",
            {"algorithm_performance"},
        ),
        (
            "INSERT INTO fragrance_embedding_versions (version, model_name) VALUES (2, 'm')",
            {"fragrance_embedding_versions"},
        ),
        (
            f"{FRAGRANCE}; "
            "INSERT INTO fragrance_embeddings_multi (fragrance_id, version, embedding) "
            "SELECT id, 1, array_fill(1, ARRAY[2048])::halfvec FROM fragrances",
            {"fragrances", "fragrance_embeddings_multi", "fragrance_embedding_versions"},
        ),
    ],
    ids=[
        *("artists", "tracks", "archives", "ai_logs", "embeddings", "unreadable"),
        *("influencers", "conversations", "messages"),
        *("samples", "analyses", "vibes"),
        *("users", "fragrances", "events", "relationships", "algorithms", "versions", "multi"),
    ],
)
def test_a_downgrade_keeps_each_table_that_holds_a_row(
    database_url: URL,
    head: str,
    insert: str,
    kept: set[str],
    connect: Connect,
    migrate: Migrate,
    dump: Dump,
) -> None:
    database = connect(database_url)
    database.execute(insert.encode())
    migrate(database_url, "base")
    tables = database.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
        "AND table_name NOT IN ('alembic_version', 'pgmodern_created')"
    )
    assert {str(name) for (name,) in tables} == kept
    for table in kept:
        assert database.execute(f"SELECT EXISTS (SELECT FROM {table})").fetchone() == (True,)
    migrate(database_url)
    assert dump(database_url) == head


def test_a_downgrade_keeps_a_row_that_is_being_written(
    database_url: URL, connect: Connect, migrate: Migrate, blocked: Callable[[URL], int]
) -> None:
    writer = connect(database_url)
    writer.execute("INSERT INTO ai_logs (prompt) VALUES ('Why?')")
    with ThreadPoolExecutor() as pool:
        with writer.transaction():
            writer.execute(
                "INSERT INTO ai_interaction_embeddings (ai_log_id, model_name, content_hash, "
                "embedding) SELECT id, 'm', '', array_fill(1, ARRAY[1536])::vector FROM ai_logs"
            )
            downgrade = pool.submit(migrate, database_url, "base")
            blocked(database_url)
        downgrade.result()
    kept = writer.execute("SELECT count(*) FROM ai_interaction_embeddings").fetchone()
    assert kept == (1,)


@pytest.mark.reference
def test_a_downgrade_keeps_a_table_that_something_else_uses(
    empty_database_url: URL, connect: Connect, migrate: Migrate
) -> None:
    migrate(empty_database_url, "0001")
    database = connect(empty_database_url)
    database.execute("CREATE VIEW loud AS SELECT * FROM artists")
    migrate(empty_database_url, "base")
    assert database.execute("SELECT count(*) FROM loud").fetchone() == (0,)
    assert database.execute("SELECT to_regclass('tracks')").fetchone() == (None,)


def extensions(database: psycopg.Connection) -> set[str]:
    """Return the extensions of a database, but for the one that every database has."""
    found = {str(name) for (name,) in database.execute("SELECT extname FROM pg_extension")}
    return found - {"plpgsql"}


@pytest.mark.reference
def test_a_downgrade_keeps_an_extension_that_was_there_before(
    empty_database_url: URL, connect: Connect, migrate: Migrate
) -> None:
    database = connect(empty_database_url)
    database.execute("CREATE EXTENSION pg_trgm")
    migrate(empty_database_url)
    assert extensions(database) == {"vector", "pg_trgm", "unaccent"}
    migrate(empty_database_url, "base")
    assert extensions(database) == {"pg_trgm"}


@pytest.mark.reference
def test_a_downgrade_keeps_an_extension_that_something_else_uses(
    empty_database_url: URL, connect: Connect, migrate: Migrate
) -> None:
    migrate(empty_database_url)
    database = connect(empty_database_url)
    database.execute("CREATE TABLE mine (title text, v vector(3))")
    database.execute("CREATE INDEX ON mine USING gin (title gin_trgm_ops)")
    migrate(empty_database_url, "base")
    assert extensions(database) == {"vector", "pg_trgm"}
    database.execute("DROP TABLE mine")
    migrate(empty_database_url)
    migrate(empty_database_url, "base")
    assert extensions(database) == set()
