"""What the migrations do to a live audio database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from tests.legacy.audio import AUDIO

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
Migrate = Callable[..., None]

HISTORY = ScriptDirectory(str(Path(__file__).parents[2] / "alembic"))
(CHANGE,) = (each for each in HISTORY.walk_revisions() if "audio_vibe_vector" in each.path)
EXACTLY = """
    SELECT s.title, e.vibe_vector::double precision[]::text, e.embedding_source, e.created_at
    FROM sample_embeddings AS e JOIN samples AS s ON s.id = e.sample_id ORDER BY s.id
"""
ADD = """
    WITH sample AS (INSERT INTO samples (title) VALUES (%s) RETURNING id)
    INSERT INTO sample_embeddings (sample_id, vibe_vector) SELECT id, {} FROM sample
"""
GOOD = "array_fill(0.25::double precision, ARRAY[1536])"
BAD = {
    "too short": ("array_fill(1.0, ARRAY[1535])", "expected 1536 dimensions, not 1535"),
    "too long": ("array_fill(1.0, ARRAY[1537])", "expected 1536 dimensions, not 1537"),
    "empty": ("'{}'", "must have at least 1 dimension"),
    "NULL": ("array_fill(1.0, ARRAY[1535]) || NULL::float8", "must not contain nulls"),
    "NaN": ("array_fill('NaN'::float8, ARRAY[1536])", "NaN not allowed"),
    "infinite": ("array_fill('-Infinity'::float8, ARRAY[1536])", "infinite value not allowed"),
    "too large": ("array_fill(1e39, ARRAY[1536])", "infinite value not allowed"),
    "axes": ("array_fill(1.0, ARRAY[768, 2])", "must be 1-D"),
}


@pytest.fixture
def audio(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """The application's database, and nothing else in it."""
    database = connect(empty_database_url)
    AUDIO.create(database)
    return database


def version(database: psycopg.Connection) -> str:
    """Return the revision that the database is at."""
    row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row is not None
    return str(row[0])


def test_bad_rows_are_listed_and_stop_it_before_anything_of_it_is_done(
    empty_database_url: URL, audio: psycopg.Connection, migrate: Migrate, dump: Dump, head: str
) -> None:
    migrate(empty_database_url, str(CHANGE.down_revision))
    schema = dump(empty_database_url)
    for title, (value, _) in BAD.items():
        audio.execute(ADD.format(value).encode(), [title])
    before = audio.execute(EXACTLY).fetchall()
    with pytest.raises(MigrationError) as stopped:
        migrate(empty_database_url)
    found = audio.execute(
        "SELECT s.title, e.id FROM sample_embeddings AS e JOIN samples AS s ON s.id = sample_id"
    )
    ids = {str(title): int(number) for title, number in found}
    said = str(stopped.value)
    assert said.startswith("8 rows of sample_embeddings.vibe_vector cannot be converted")
    for title, (_, reason) in BAD.items():
        (line,) = (each for each in said.split("; ") if reason in each)
        assert str(ids[title]) in line.partition("Keys: ")[2]
    assert dump(empty_database_url) == schema
    assert audio.execute(EXACTLY).fetchall() == before
    assert version(audio) == CHANGE.down_revision
    audio.execute(ADD.format(GOOD).encode(), ["the application goes on"])
    audio.execute(
        f"UPDATE sample_embeddings SET vibe_vector = {GOOD} WHERE id = ANY (%s)".encode(),
        [[ids[title] for title in BAD]],
    )
    migrate(empty_database_url)
    assert dump(empty_database_url) == head
    assert audio.execute(AUDIO.wrong.encode()).fetchone() == (0,)


def test_rows_that_go_bad_after_they_were_looked_at_stop_it_before_the_swap(
    empty_database_url: URL,
    audio: psycopg.Connection,
    connect: Connect,
    migrate: Migrate,
    blocked: Callable[[URL], int],
    dump: Dump,
    head: str,
) -> None:
    migrate(empty_database_url, str(CHANGE.down_revision))
    holder = connect(empty_database_url)
    with ThreadPoolExecutor() as pool:
        with holder.transaction():
            holder.execute("SELECT FROM sample_embeddings WHERE id = 29 FOR UPDATE")
            upgrade = pool.submit(migrate, empty_database_url)
            blocked(empty_database_url)  # it has looked at the rows, and waits to begin
            audio.execute(ADD.format("'{1,2,3}'").encode(), ["new"])
            holder.execute("UPDATE sample_embeddings SET vibe_vector = '{}' WHERE id = 29")
            before = audio.execute(EXACTLY).fetchall()
        with pytest.raises(MigrationError, match=r"2 rows of .* cannot be converted") as stopped:
            upgrade.result()
    assert "Keys: 29" in str(stopped.value)
    assert "expected 1536 dimensions, not 3. Keys: " in str(stopped.value)
    assert version(audio) == CHANGE.down_revision
    there = "SELECT pg_typeof(vibe_vector)::text FROM sample_embeddings LIMIT 1"
    assert audio.execute(there).fetchone() == ("double precision[]",)
    lost = set(before) - set(audio.execute(EXACTLY).fetchall())
    assert [title for title, *_ in lost] == ["Größe 雪 🎵"]  # as the application changed it
    audio.execute(ADD.format(GOOD).encode(), ["the application goes on"])
    audio.execute(
        "UPDATE sample_embeddings SET vibe_vector = "
        f"{GOOD} WHERE cardinality(vibe_vector) <> 1536".encode()
    )
    migrate(empty_database_url)
    assert dump(empty_database_url) == head
    assert audio.execute(AUDIO.wrong.encode()).fetchone() == (0,)


@pytest.mark.reference
def test_the_way_back_returns_every_number_to_the_last_digit(
    empty_database_url: URL, audio: psycopg.Connection, migrate: Migrate
) -> None:
    before = audio.execute(EXACTLY).fetchall()
    migrate(empty_database_url)
    audio.execute(ADD.format("array_fill(0.1::real, ARRAY[1536])::vector").encode(), ["since"])
    migrate(empty_database_url, "base")
    *kept, (title, numbers, *_) = audio.execute(EXACTLY).fetchall()
    assert kept == before
    assert title == "since"
    assert numbers.startswith("{0.10000000149011612,")


def test_an_application_goes_on_writing_during_the_upgrade(
    empty_database_url: URL,
    audio: psycopg.Connection,
    connect: Connect,
    migrate: Migrate,
    dump: Dump,
    head: str,
) -> None:
    writer, stop = connect(empty_database_url), threading.Event()
    # As the application sends it: a text, which either type takes.
    numbers = "[" + ",".join(["0.5"] * 1536) + "]"
    array = numbers.replace("[", "{").replace("]", "}")

    def write() -> int:
        count = 0
        while not stop.is_set():
            count += 1
            add = ADD.format("%s").encode()
            try:
                writer.execute(add, [f"new {count}", array])
            except psycopg.errors.InvalidTextRepresentation:  # the type is the new one
                writer.execute(add, [f"new {count}", numbers])
            writer.execute(
                "UPDATE sample_embeddings SET vibe_vector = vibe_vector, embedding_source = 'x' "
                "WHERE sample_id = %s",
                [5 + count % 20],
            )
        return count

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        try:
            migrate(empty_database_url)
        finally:
            stop.set()
        written = writing.result()
    assert dump(empty_database_url) == head
    assert audio.execute(AUDIO.wrong.encode()).fetchone() == (0,)
    found = audio.execute(
        "SELECT count(*) FROM sample_embeddings AS e JOIN samples AS s ON s.id = e.sample_id "
        "WHERE s.title LIKE 'new %%' AND e.vibe_vector = %s::vector",
        [numbers],
    ).fetchone()
    assert found == (written,)
