"""What an index operation that ends with an error leaves, and who drops it."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern import operations
from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy, bound
from pgmodern.names import derived
from tests.operations.indexes import Apply, Step, create, drop, index, names, replace

Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

FILL = "INSERT INTO songs (title, album) SELECT md5(i::text), 'a' FROM generate_series(1, 200) AS i"
SPARE = derived("ix", "new")


@pytest.mark.parametrize("reads", ["songs", "pg_class"])
@pytest.mark.parametrize("unique", [False, True])
def test_a_successor_that_is_cancelled_is_gone_or_named_and_dropped_by_the_next_run(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
    reads: str,
    unique: bool,
) -> None:
    database.execute(FILL)
    database.execute("CREATE INDEX ix ON songs (title)")
    before, reader = index(database), connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    step = replace("title", "id", unique=unique)
    with ThreadPoolExecutor() as pool, reader.transaction():
        reader.execute(f"SELECT count(*) FROM {reads}".encode())
        replacing = pool.submit(apply, step)
        database.execute("SELECT pg_cancel_backend(%s)", [blocked(empty_database_url)])
        error = replacing.exception(timeout=30)
    assert "canceling statement" in str(error)
    assert index(database) == before
    left = names(database) - {"ix"}
    assert bool(left) == (reads == "songs")  # which cannot be had for an instant
    if left:
        assert isinstance(error, MigrationError)
        assert left.pop() in str(error)
    apply(step)
    assert names(database) == {"ix"}


def impatient(step: Step) -> Step:
    """Return the step, which waits for a fifth of a second only."""

    def run(op: Any) -> None:
        with bound(op.get_bind(), LockPolicy(timeout=0.1, build=0.2), None):
            step(op)

    return run


@pytest.mark.parametrize("step", [replace("album"), create("album", name="other")])
def test_an_index_that_cannot_be_built_in_time_is_gone(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    step: Step,
) -> None:
    database.execute("CREATE INDEX ix ON songs (title)")
    reader = connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with reader.transaction():
        reader.execute("SELECT count(*) FROM pg_class")
        with pytest.raises(MigrationError, match="concurrent build waited"):
            apply(impatient(step))
    assert names(database) == {"ix"}


@pytest.mark.quick
def test_a_successor_whose_predecessor_cannot_be_dropped_in_time_is_named_and_taken_up(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database.execute("CREATE INDEX ix ON songs (title)")
    database.execute("COMMENT ON INDEX ix IS 'kept'")
    reader, replace_ = connect(empty_database_url), operations.index._replace

    def held(*arguments: Any) -> None:
        with reader.transaction():
            reader.execute("SELECT FROM songs")
            replace_(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(operations.index, "_replace", held)
        with pytest.raises(MigrationError, match=SPARE):
            apply(impatient(replace("album")))
    built = index(database, SPARE)
    assert built is not None
    apply(replace("album"))
    found = index(database)
    assert found is not None
    assert found[0] == built[0]
    assert names(database) == {"ix"}
    comment = database.execute("SELECT obj_description('ix'::regclass, 'pg_class')").fetchone()
    assert comment == ("kept",)


@pytest.mark.quick
def test_a_successor_is_dropped_when_the_old_index_is_needed_by_now(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ADD CONSTRAINT ix UNIQUE (title)")
    database.execute(f"CREATE INDEX {SPARE} ON songs (album)".encode())
    with pytest.raises(MigrationError, match="constraint"):
        apply(replace("album"))
    assert names(database) == {"ix"}


@pytest.mark.parametrize("offline", [False, True])
def test_dropping_drops_an_unfinished_successor_too(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    offline: bool,
) -> None:
    for name in ("ix", SPARE):
        database.execute(f"CREATE INDEX {name} ON songs (title)".encode())
    if offline:
        assert psql(empty_database_url, script(drop())).returncode == 0
    else:
        apply(drop())
    assert names(database) == set()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("ALTER TABLE songs ADD CONSTRAINT ix UNIQUE (title)", "constraint"),
        (
            "CREATE UNIQUE INDEX ix ON songs (id); "
            "ALTER TABLE songs REPLICA IDENTITY USING INDEX ix",
            "replica identity",
        ),
    ],
)
def test_what_could_not_be_replaced_is_refused_before_anything_is_built(
    database: psycopg.Connection, apply: Apply, made: str, reason: str
) -> None:
    if "REPLICA" in made:
        database.execute("ALTER TABLE songs ALTER id SET NOT NULL")
    database.execute(made.encode())
    before = names(database)
    for step in (replace("album", unique=True), create("album", unique=True)):
        with pytest.raises(MigrationError, match=reason):
            apply(step)
        assert names(database) == before
