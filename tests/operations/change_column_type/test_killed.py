"""A change of type that is killed, or altered, midway."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.errors import QueryCanceled
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from pgmodern.operations import change_column_type
from tests.operations.change_column_type.songs import (
    BACK,
    LIGHT,
    THERE,
    VIBE,
    Apply,
    Connect,
    Dump,
    Proof,
    Psql,
    Step,
    change,
    columns,
    drop,
)


@pytest.mark.vector
@pytest.mark.quick
def test_what_was_altered_meanwhile_is_taken_up_by_the_next(
    vibes: psycopg.Connection, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = change_column_type._swap

    def altered_before(*arguments: Any) -> None:
        vibes.execute("ALTER TABLE songs ADD CONSTRAINT a CHECK (vibe::text <> '')")
        vibes.execute("CREATE VIEW seen AS SELECT vibe FROM songs")
        swap(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(change_column_type, "_swap", altered_before)
        with pytest.raises(MigrationError, match="altered"):
            apply(VIBE)
    with pytest.raises(MigrationError, match="view seen"):
        apply(VIBE)
    vibes.execute("DROP VIEW seen")
    apply(VIBE)
    found = vibes.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'a'")
    assert found.fetchone() == ("CHECK (((vibe)::text <> ''::text))",)


def test_killed_anywhere_it_is_finished_by_the_next(proof: Proof) -> None:
    proof("change_column_type_online", THERE, fill=LIGHT, stride=7)


def test_killed_anywhere_it_is_changed_back_by_the_next(proof: Proof) -> None:
    proof("change_column_type_online, back", BACK, fill=LIGHT, first=THERE, stride=7)


def test_killed_anywhere_the_old_column_is_dropped_by_the_next(proof: Proof) -> None:
    proof("drop_replaced_column", drop("plays"), fill=LIGHT, first=THERE)


@pytest.mark.vector
def test_a_build_killed_midway_is_built_anew(
    empty_database_url: URL,
    vibes: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    vibes.execute("CREATE INDEX by_vibe ON songs (vibe)")
    reader = connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM pg_class")
            changing = pool.submit(apply, VIBE)
            vibes.execute("SELECT pg_terminate_backend(%s, 5000)", [blocked(empty_database_url)])
        assert changing.exception() is not None
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert vibes.execute(invalid).fetchone() == (1,)
    apply(VIBE)
    assert vibes.execute(invalid).fetchone() == (0,)


@pytest.mark.vector
@pytest.mark.parametrize("offline", [False, True])
def test_a_change_that_is_given_up_leaves_nothing(
    offline: bool,
    empty_database_url: URL,
    vibes: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    dump: Dump,
) -> None:
    vibes.execute("CREATE INDEX by_vibe ON songs (vibe)")
    before = dump(empty_database_url)
    vibes.execute("UPDATE songs SET vibe = '{1}' WHERE id = 7")
    with pytest.raises(MigrationError, match="Keys: 7"):
        apply(VIBE)
    assert dump(empty_database_url) != before
    back = change("vibe", "double precision[]", "vibe::real[]::double precision[]")
    if offline:
        done = psql(empty_database_url, script(back))
        assert done.returncode == 0, done.stderr
    else:
        apply(back)
    assert dump(empty_database_url) == before


def test_a_build_that_is_cancelled_refuses_no_write(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    database.execute(LIGHT)
    reader = connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with ThreadPoolExecutor() as pool, reader.transaction():
        reader.execute("SELECT count(*) FROM pg_class")
        changing = pool.submit(apply, THERE)
        database.execute("SELECT pg_cancel_backend(%s)", [blocked(empty_database_url)])
        assert isinstance(changing.exception(timeout=30), QueryCanceled)
    left = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE 'CREATE UNIQUE INDEX pgmodern%'"
    assert database.execute(left).fetchone() == (0,)
    apply(THERE)
    assert columns(database)["plays"] == "bigint"
