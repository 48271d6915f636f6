"""Up, down and up again, online and offline: one schema, the same rows."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import URL

from tests.legacy import Legacy, Rows

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
ReadRows = Callable[[URL], Rows]
Modern = Callable[[Rows], Rows]
Wrong = Callable[[URL], int]
Alembic = Callable[..., subprocess.CompletedProcess[str]]
Blocked = Callable[[URL], int]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
Migrate = Callable[..., None]

WITHOUT_VERSION = "--exclude-table=*.alembic_version"


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


@pytest.mark.reference
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
    legacy_url: URL,
    head: str,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
    modern: Modern,
    wrong: Wrong,
) -> None:
    schema, before = dump(legacy_url), rows(legacy_url)
    migrate(legacy_url)
    assert dump(legacy_url) == head
    after = rows(legacy_url)
    assert after == modern(before)
    assert wrong(legacy_url) == 0
    migrate(legacy_url, "base")
    assert dump(legacy_url, WITHOUT_VERSION) == schema
    assert rows(legacy_url) == after
    migrate(legacy_url)
    assert dump(legacy_url) == head
    assert rows(legacy_url) == after


def test_an_application_alone_reaches_head_and_loses_nothing(
    empty_database_url: URL,
    legacy: Legacy,
    head: str,
    connect: Connect,
    migrate: Migrate,
    dump: Dump,
) -> None:
    with connect(empty_database_url) as database:
        legacy.create(database)
        before = legacy.read(database)
    migrate(empty_database_url)
    assert dump(empty_database_url) == head
    with connect(empty_database_url) as database:
        assert legacy.read(database) == legacy.modern(before)
        assert database.execute(legacy.wrong.encode()).fetchone() == (0,)


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
    legacy_url: URL,
    head: str,
    alembic: Alembic,
    psql: Psql,
    dump: Dump,
    rows: ReadRows,
    modern: Modern,
    wrong: Wrong,
    connect: Connect,
) -> None:
    schema, before = dump(legacy_url), rows(legacy_url)
    ran = psql(legacy_url, alembic("upgrade", "head", "--sql").stdout)
    assert ran.returncode == 0, ran.stderr
    assert dump(legacy_url) == head
    after = rows(legacy_url)
    assert after == modern(before)
    assert wrong(legacy_url) == 0
    _down_by_scripts(legacy_url, alembic, psql, connect)
    assert dump(legacy_url, WITHOUT_VERSION) == schema
    assert rows(legacy_url) == after


def _down_by_scripts(url: URL, alembic: Alembic, psql: Psql, connect: Connect) -> None:
    """Run the script of the way down; where it met an autovacuum, one from where it stands.

    A script waits for a lock once, and does not try again by itself.
    """
    for _ in range(5):
        standing = connect(url).execute("SELECT version_num FROM alembic_version").fetchone()
        assert standing is not None
        ran = psql(url, alembic("downgrade", f"{standing[0]}:base", "--sql").stdout)
        if "lock timeout" not in ran.stderr:
            break
    assert ran.returncode == 0, ran.stderr


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


HISTORY = ScriptDirectory(str(Path(__file__).parents[2] / "alembic"))
BY_THEIR_OWN_DDL = {
    "0003",
    "0006",
    "0013",
}  # which is all there or, with its transaction, not at all


@pytest.mark.parametrize(
    ("before", "revision"),
    [
        (each.down_revision, each.revision)
        for each in HISTORY.walk_revisions()
        if each.revision not in BY_THEIR_OWN_DDL
    ],
)
def test_a_revision_can_be_repeated(
    upgraded_url: URL,
    head: str,
    before: str | None,
    revision: str,
    connect: Connect,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
) -> None:
    after = rows(upgraded_url)
    database = connect(upgraded_url)
    indexes = "SELECT array_agg(indexrelid ORDER BY indexrelid) FROM pg_index"
    built = database.execute(indexes).fetchone()
    database.execute("DELETE FROM alembic_version")
    if before is not None:
        database.execute("INSERT INTO alembic_version VALUES (%s)", [before])
    migrate(upgraded_url, revision)
    assert dump(upgraded_url) == head
    assert rows(upgraded_url) == after
    assert database.execute(indexes).fetchone() == built


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
