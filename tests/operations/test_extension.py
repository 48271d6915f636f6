"""`op.create_extension` and `op.drop_extension`."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import ExtensionError

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Proof = Callable[..., None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]


def create(op: Any) -> None:
    """The step that creates the extension."""
    op.create_extension("pg_trgm", "1.6", "old ones are slow")


def drop(op: Any) -> None:
    """The step that drops it."""
    op.drop_extension("pg_trgm")


def version(database: psycopg.Connection) -> str | None:
    """Return the version of the extension that the database has."""
    query = "SELECT extversion FROM pg_extension WHERE extname = 'pg_trgm'"
    row = database.execute(query).fetchone()
    return str(row[0]) if row else None


def test_it_comes_and_goes(database: psycopg.Connection, apply: Apply) -> None:
    for _ in range(2):
        apply(create)
        assert version(database) is not None
    for _ in range(2):
        apply(drop)
        assert version(database) is None
    assert database.execute("SELECT to_regclass('pgmodern_created')").fetchone() == (None,)


def test_one_that_was_there_before_stays(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("CREATE EXTENSION pg_trgm")
    apply(create)
    apply(drop)
    assert version(database) is not None


def test_one_that_something_depends_on_stays_until_nothing_does(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(create)
    database.execute("CREATE INDEX ix ON songs USING gin (title gin_trgm_ops)")
    apply(drop)
    assert version(database) is not None
    database.execute("DROP INDEX ix")
    apply(drop)
    assert version(database) is None


def test_an_old_version_that_is_installed_is_refused_with_the_cure(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE EXTENSION pg_trgm VERSION '1.5'")
    with pytest.raises(ExtensionError, match=r"(?s)is 1\.5; 1\.6.*ALTER EXTENSION"):
        apply(create)
    database.execute("ALTER EXTENSION pg_trgm UPDATE")
    apply(create)
    apply(drop)
    assert version(database) == "1.6"


@pytest.mark.parametrize("installed", [True, False])
def test_a_version_that_the_server_does_not_have_is_refused(
    database: psycopg.Connection, apply: Apply, *, installed: bool
) -> None:
    if installed:
        database.execute("CREATE EXTENSION pg_trgm")
    with pytest.raises(ExtensionError, match=r"1\.6; 99\.1 or later is needed: it flies"):
        apply(lambda op: op.create_extension("pg_trgm", "99.1", "it flies"))
    assert (version(database) is not None) == installed
    assert database.execute("SELECT to_regclass('pgmodern_created')").fetchone() == (None,)


def test_one_that_the_server_does_not_have_is_refused(
    database: psycopg.Connection, apply: Apply
) -> None:
    with pytest.raises(ExtensionError, match="does not have the extension 'nothing-such'"):
        apply(lambda op: op.create_extension("nothing-such"))


def test_killed_anywhere_it_is_as_if_it_had_not_begun(proof: Proof) -> None:
    proof("create_extension", create, drop)


def test_the_script_does_the_same(
    empty_database_url: URL,
    database: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    for step, there in ((create, True), (create, True), (drop, False), (drop, False)):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert (version(database) is not None) == there
    database.execute("CREATE EXTENSION pg_trgm")
    for step in (create, drop):
        assert psql(empty_database_url, script(step)).returncode == 0
        assert version(database) is not None


def test_the_script_refuses_an_old_version_too(
    empty_database_url: URL,
    database: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    database.execute("CREATE EXTENSION pg_trgm VERSION '1.5'")
    assert psql(empty_database_url, script(create)).returncode != 0


def test_each_is_the_reverse_of_the_other(database: psycopg.Connection, apply: Apply) -> None:
    from pgmodern.operations.extension import CreateExtension

    forward = CreateExtension("pg_trgm", "1.6")
    apply(lambda op: op.invoke(forward))
    apply(lambda op: op.invoke(forward.reverse()))
    assert version(database) is None
    apply(lambda op: op.invoke(forward.reverse().reverse()))
    assert version(database) is not None


def update(op: Any) -> None:
    """The step that updates the extension."""
    op.update_extension("pg_trgm", "1.6", "old ones are slow")


OLD = "CREATE EXTENSION pg_trgm VERSION '1.3'"


def test_an_old_one_is_updated_once(database: psycopg.Connection, apply: Apply) -> None:
    database.execute(OLD)
    for _ in range(2):
        apply(update)
        assert version(database) == "1.6"


def test_killed_anywhere_an_update_is_as_if_it_had_not_begun(
    database: psycopg.Connection, apply_killed: Callable[[Step], Iterator[int]]
) -> None:
    """A dump does not tell the version: `proof` would see nothing done."""
    database.execute(OLD)
    killed = 0
    for killed in apply_killed(update):
        assert version(database) == "1.6", f"killed before statement {killed}"
        database.execute("DROP EXTENSION pg_trgm")
        database.execute(OLD)
    assert killed > 3


def run_script(psql: Psql, url: URL, sql: str) -> None:
    """Run a script that is to succeed."""
    done = psql(url, sql)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("online", [True, False])
def test_one_that_is_new_enough_is_left_as_it_is(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    *,
    online: bool,
) -> None:
    database.execute(OLD)

    def step(op: Any) -> None:
        op.update_extension("pg_trgm", "1.3.0")

    apply(step) if online else run_script(psql, empty_database_url, script(step))
    assert version(database) == "1.3"


def test_an_update_to_what_the_server_does_not_have_is_refused(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    database.execute(OLD)

    def step(op: Any) -> None:
        op.update_extension("pg_trgm", "99.1", "it flies")

    with pytest.raises(ExtensionError, match=r"99\.1 or later is needed: it flies"):
        apply(step)
    assert version(database) == "1.3"
    assert "99.1 or later is needed" in psql(empty_database_url, script(step)).stderr


@pytest.mark.quick
def test_what_is_not_there_is_not_updated(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    with pytest.raises(ExtensionError, match="does not have the extension 'pg_trgm'") as raised:
        apply(update)
    assert "op.create_extension('pg_trgm', '1.6')" in raised.value.cure
    assert "extension pg_trgm is missing" in psql(empty_database_url, script(update)).stderr
    assert version(database) is None


@pytest.mark.quick
def test_who_may_not_update_it_needs_an_administrator(
    database: psycopg.Connection, owner: str, apply: Apply
) -> None:
    database.execute(OLD)

    def step(op: Any) -> None:
        op.execute(f"SET LOCAL ROLE {owner}")
        update(op)

    with pytest.raises(ExtensionError, match="may not update the extension 'pg_trgm'") as raised:
        apply(step)
    assert 'ALTER EXTENSION "pg_trgm" UPDATE;' in raised.value.cure
    assert version(database) == "1.3"
