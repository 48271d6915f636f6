"""Up, down and up again, online and offline, undisturbed and killed: one schema, the same rows."""

import itertools
import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import NullPool

from tests.kills import NEVER, SURVIVALS, How, Run, Survival, run_doomed

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
Rows = dict[str, list[str]]
ReadRows = Callable[[URL], Rows]
Alembic = Callable[..., subprocess.CompletedProcess[str]]
StartAlembic = Callable[..., subprocess.Popen[str]]
Blocked = Callable[[URL], int]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
Migrate = Callable[..., None]
Clone = Callable[[URL], URL]
Copied = Callable[[URL], AbstractContextManager[URL]]
Struck = Callable[..., Iterator[URL]]

WITHOUT_VERSION = "--exclude-table=*.alembic_version"
ARCHIVE = "INSERT INTO archives (user_id, name, playlist_data) VALUES (gen_random_uuid(), '', '7')"


@pytest.fixture
def migrate(alembic_ini: Path) -> Migrate:
    """Upgrade or downgrade a database as a program does; `base` is the only way down."""

    def run(target: URL | Engine, revision: str = "head") -> None:
        engine = create_engine(target, poolclass=NullPool) if isinstance(target, URL) else target
        config = Config(alembic_ini, attributes={"connection": engine})
        direction = command.downgrade if revision == "base" else command.upgrade
        direction(config, revision)
        engine.dispose()

    return run


@pytest.fixture
def struck(
    postgres_url: URL, connect: Connect, copied: Copied, request: pytest.FixtureRequest
) -> Struck:
    """Yield copies of a database on which a run died, each time before another statement.

    Before one of each of its parts, at random; with --every-statement before each one.
    """
    admin, survivals = connect(postgres_url), request.config.stash[SURVIVALS]

    def instants(url: URL, run: Run, parts: int) -> list[int]:
        with copied(url) as copy:
            total = run_doomed(admin, copy, run, NEVER, "SIGKILL").statements
        if request.config.getoption("--every-statement"):
            return list(range(total))
        edges = [total * part // parts for part in range(parts + 1)]
        return [random.randrange(*part) for part in itertools.pairwise(edges)]

    def strike(what: str, url: URL, run: Run, parts: int, how: How = "SIGKILL") -> Iterator[URL]:
        survival = survivals.setdefault(what, Survival(what))
        for instant in instants(url, run, parts):
            with copied(url) as copy:
                outcome = run_doomed(admin, copy, run, instant, how)
                # Batches go by time: there may be a few less than in the run that was counted.
                assert outcome.struck or instant - outcome.statements < 5
                survival.statements[how] += 1
                print(f"{how} before statement {instant}")  # shown when the test fails
                yield copy
                survival.survived[how] += 1

    return strike


@pytest.fixture(scope="module")
def head(migrated_database_url: URL, dump: Dump) -> str:
    """The schema of a new database at head."""
    return dump(migrated_database_url)


def modern(stored: Any) -> Any:
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


def modern_rows(rows: Rows) -> list[Any]:
    """Return the archives with their documents in today's shape; numbers with all digits."""
    archives = [json.loads(row, parse_float=Decimal) for row in rows["archives"]]
    return [row | {"playlist_data": modern(row["playlist_data"])} for row in archives]


def test_up_down_and_up_again_is_the_same_schema(
    empty_database_url: URL, head: str, migrate: Migrate, dump: Dump
) -> None:
    nothing = dump(empty_database_url)
    migrate(empty_database_url)
    assert dump(empty_database_url) == head
    migrate(empty_database_url, "base")
    assert dump(empty_database_url, WITHOUT_VERSION) == nothing
    migrate(empty_database_url)
    assert dump(empty_database_url) == head


def test_adopting_a_database_changes_nothing_in_it(
    legacy_url: URL, migrate: Migrate, dump: Dump, rows: ReadRows
) -> None:
    ours = (WITHOUT_VERSION, "--exclude-table=pgmodern_*")
    schema, before = dump(legacy_url), rows(legacy_url)
    migrate(legacy_url, "0001")
    assert dump(legacy_url, *ours) == schema
    assert rows(legacy_url) == before
    migrate(legacy_url, "base")
    assert dump(legacy_url, WITHOUT_VERSION) == schema


def test_a_missing_legacy_table_is_created(
    legacy_url: URL, head: str, connect: Connect, migrate: Migrate, dump: Dump
) -> None:
    connect(legacy_url).execute("DROP TABLE ai_logs")
    before = dump(legacy_url)
    migrate(legacy_url)
    assert dump(legacy_url) == head
    migrate(legacy_url, "base")
    assert dump(legacy_url, WITHOUT_VERSION) == before


def test_an_adopted_database_ends_as_a_new_one_and_goes_back_to_what_it_was(
    legacy_url: URL, head: str, migrate: Migrate, dump: Dump, rows: ReadRows
) -> None:
    schema, before = dump(legacy_url), rows(legacy_url)
    migrate(legacy_url)
    assert dump(legacy_url) == head
    after = rows(legacy_url)
    assert [json.loads(row, parse_float=Decimal) for row in after["archives"]] == modern_rows(
        before
    )
    assert {**after, "archives": []} == {**before, "archives": []}
    migrate(legacy_url, "base")
    assert dump(legacy_url, WITHOUT_VERSION) == schema
    assert rows(legacy_url) == after
    migrate(legacy_url)
    assert dump(legacy_url) == head
    assert rows(legacy_url) == after


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
    assert database.execute(WRONG_VECTORS).fetchone() == (0,)


WRONG_VECTORS = """
    SELECT (SELECT count(*) FROM artists WHERE search_vector IS DISTINCT FROM
            setweight(to_tsvector('public.simple_unaccent', name), 'A'))
         + (SELECT count(*) FROM tracks WHERE search_vector IS DISTINCT FROM
            setweight(to_tsvector('public.simple_unaccent', title), 'A')
            || setweight(to_tsvector('public.simple_unaccent', coalesce(album, '')), 'B'))
"""


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
    ],
    ids=["artists", "tracks", "archives", "ai_logs", "embeddings", "unreadable"],
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
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
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


def test_a_downgrade_keeps_an_extension_that_was_there_before(
    empty_database_url: URL, connect: Connect, migrate: Migrate
) -> None:
    database = connect(empty_database_url)
    database.execute("CREATE EXTENSION pg_trgm")
    migrate(empty_database_url)
    assert extensions(database) == {"vector", "pg_trgm", "unaccent"}
    migrate(empty_database_url, "base")
    assert extensions(database) == {"pg_trgm"}


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


def test_the_offline_script_makes_the_same_schema(
    empty_database_url: URL, head: str, alembic: Alembic, psql: Psql, dump: Dump
) -> None:
    nothing = dump(empty_database_url)
    up = alembic("upgrade", "head", "--sql")
    assert up.returncode == 0, up.stderr
    ran = psql(empty_database_url, up.stdout)
    assert ran.returncode == 0, ran.stderr
    assert dump(empty_database_url) == head
    down = alembic("downgrade", "head:base", "--sql")
    assert down.returncode == 0, down.stderr
    ran = psql(empty_database_url, down.stdout)
    assert ran.returncode == 0, ran.stderr
    assert dump(empty_database_url, WITHOUT_VERSION) == nothing


def test_the_offline_script_adopts_a_database_as_the_online_upgrade_does(
    legacy_url: URL, head: str, alembic: Alembic, psql: Psql, dump: Dump, rows: ReadRows
) -> None:
    schema, before = dump(legacy_url), rows(legacy_url)
    ran = psql(legacy_url, alembic("upgrade", "head", "--sql").stdout)
    assert ran.returncode == 0, ran.stderr
    assert dump(legacy_url) == head
    after = rows(legacy_url)
    assert [json.loads(row, parse_float=Decimal) for row in after["archives"]] == modern_rows(
        before
    )
    assert {**after, "archives": []} == {**before, "archives": []}
    ran = psql(legacy_url, alembic("downgrade", "head:base", "--sql").stdout)
    assert ran.returncode == 0, ran.stderr
    assert dump(legacy_url, WITHOUT_VERSION) == schema
    assert rows(legacy_url) == after


def test_an_offline_database_goes_down_online_and_the_other_way_round(
    empty_database_url: URL, alembic: Alembic, migrate: Migrate, psql: Psql, dump: Dump
) -> None:
    nothing = dump(empty_database_url)
    assert psql(empty_database_url, alembic("upgrade", "head", "--sql").stdout).returncode == 0
    migrate(empty_database_url, "base")
    assert dump(empty_database_url, WITHOUT_VERSION) == nothing
    migrate(empty_database_url)
    script = alembic("downgrade", "head:base", "--sql").stdout
    assert psql(empty_database_url, script).returncode == 0
    assert dump(empty_database_url, WITHOUT_VERSION) == nothing


@pytest.mark.parametrize("revision", ["0001", "0002", "0004", "0005", "0007", "0008", "0009"])
def test_a_revision_can_be_repeated(
    legacy_url: URL,
    head: str,
    revision: str,
    connect: Connect,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
) -> None:
    migrate(legacy_url)
    after = rows(legacy_url)
    database = connect(legacy_url)
    indexes = "SELECT array_agg(indexrelid ORDER BY indexrelid) FROM pg_index"
    built = database.execute(indexes).fetchone()
    database.execute("UPDATE alembic_version SET version_num = %s", [f"{int(revision) - 1:04}"])
    if revision == "0001":
        database.execute("DELETE FROM alembic_version")
    migrate(legacy_url, revision)
    assert dump(legacy_url) == head
    assert rows(legacy_url) == after
    assert database.execute(indexes).fetchone() == built


@pytest.mark.parametrize(("how", "parts"), [("SIGKILL", 40), ("terminate", 10)])
def test_an_upgrade_killed_at_any_statement_is_finished_by_the_next(
    legacy_url: URL,
    head: str,
    how: How,
    parts: int,
    struck: Struck,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
) -> None:
    expected = modern_rows(rows(legacy_url))
    for url in struck("alembic upgrade head", legacy_url, migrate, parts, how):
        migrate(url)
        assert dump(url) == head
        after = [json.loads(row, parse_float=Decimal) for row in rows(url)["archives"]]
        assert after == expected


@pytest.mark.parametrize(("how", "parts"), [("SIGKILL", 20), ("terminate", 6)])
def test_a_downgrade_killed_at_any_statement_is_finished_by_the_next(
    legacy_url: URL,
    how: How,
    parts: int,
    struck: Struck,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
) -> None:
    schema = dump(legacy_url)
    migrate(legacy_url)
    before, down = rows(legacy_url), partial(migrate, revision="base")
    for url in struck("alembic downgrade base", legacy_url, down, parts, how):
        down(url)
        assert dump(url, WITHOUT_VERSION) == schema
        assert rows(url) == before


def test_a_killed_upgrade_is_undone_by_stamping_and_downgrading_it(
    legacy_url: URL,
    alembic_ini: Path,
    connect: Connect,
    struck: Struck,
    migrate: Migrate,
    dump: Dump,
) -> None:
    schema = dump(legacy_url)
    migrate(legacy_url, "0006")
    up = partial(migrate, revision="0007")
    for url in struck("alembic upgrade 0007, undone", legacy_url, up, 4):
        engine = create_engine(url, poolclass=NullPool)
        command.stamp(Config(alembic_ini, attributes={"connection": engine}), "0007")
        migrate(url, "base")
        assert dump(url, WITHOUT_VERSION) == schema
        with connect(url) as application:
            application.execute("INSERT INTO artists (name) VALUES ('still writable')")


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
    assert database.execute(WRONG_VECTORS).fetchone() == (0,)
    migrate(url, "base")
    assert dump(empty_database_url, WITHOUT_VERSION) == before


MANY_ROWS = """
    INSERT INTO tracks (artist_id, title, album)
    SELECT 1 + i % 40, 'Söng ' || md5(i::text), CASE WHEN i % 3 = 0 THEN 'Album ' || i % 500 END
    FROM generate_series(1, 30000) AS i;
    INSERT INTO archives (user_id, name, playlist_data)
    SELECT gen_random_uuid(), name, playlist_data
    FROM archives, generate_series(1, 3);
"""


def test_an_upgrade_whose_client_is_killed_is_finished_by_the_next(
    legacy_url: URL,
    head: str,
    connect: Connect,
    clone: Clone,
    alembic: Alembic,
    start_alembic: StartAlembic,
    dump: Dump,
    rows: ReadRows,
) -> None:
    with connect(legacy_url) as database:
        database.execute(MANY_ROWS.encode())
    expected = modern_rows(rows(legacy_url))
    started = time.monotonic()
    assert alembic("upgrade", "head", url=clone(legacy_url)).returncode == 0
    whole = time.monotonic() - started
    for part in range(4):
        url = clone(legacy_url)
        process = start_alembic("upgrade", "head", url=url)
        instant = whole * (0.3 + 0.65 * (part + random.random()) / 4)
        with suppress(subprocess.TimeoutExpired):
            process.wait(instant)
        process.kill()
        process.communicate()
        again = alembic("upgrade", "head", url=url)
        assert again.returncode == 0, f"killed after {instant:.3f} s: {again.stderr}"
        assert dump(url) == head, f"killed after {instant:.3f} s"
        found = connect(url).execute(WRONG_VECTORS).fetchone()
        assert found == (0,), f"killed after {instant:.3f} s"
        after = [json.loads(row, parse_float=Decimal) for row in rows(url)["archives"]]
        assert after == expected, f"killed after {instant:.3f} s"


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
    assert writer.execute(WRONG_VECTORS).fetchone() == (0,)
    found = writer.execute("SELECT count(*) FROM artists WHERE name LIKE 'Måneskin %'").fetchone()
    assert found == (written,)
    kept = writer.execute("SELECT count(*) FROM archives WHERE name = 'new'").fetchone()
    assert kept == (written,)


def test_a_script_waits_for_no_lock_for_long(
    empty_database_url: URL,
    legacy_schema: str,
    connect: Connect,
    alembic: Alembic,
    psql: Psql,
    blocked: Blocked,
) -> None:
    script = alembic("upgrade", "head", "--sql").stdout
    database = connect(empty_database_url)
    database.execute(legacy_schema.encode())
    with ThreadPoolExecutor() as pool, database.transaction():
        database.execute("SELECT count(*) FROM artists")
        running = pool.submit(psql, empty_database_url, script)
        waiter = blocked(empty_database_url)
        try:
            ran = running.result(timeout=15)
        finally:
            connect(empty_database_url).execute("SELECT pg_terminate_backend(%s)", [waiter])
    assert "lock timeout" in ran.stderr
