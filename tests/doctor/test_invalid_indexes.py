"""Invalid indexes are found, but not one that somebody is at work on."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.errors import QueryCanceled, UniqueViolation
from sqlalchemy import URL

from tests.waiting import until

Connect = Callable[[URL], psycopg.Connection]

SONGS = "CREATE TABLE songs (id bigint, title text)"
STATE = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix')"


def test_what_a_failed_build_leaves_is_found_and_its_cure_removes_it(patient: Any) -> None:
    patient.execute(SONGS, "INSERT INTO songs (title) VALUES ('twice'), ('twice')")
    with pytest.raises(UniqueViolation):
        patient.execute("CREATE UNIQUE INDEX CONCURRENTLY ix ON songs (title)")
    (found,) = patient.findings()
    assert found == {
        "kind": "invalid-index",
        "severity": "error",
        "schema": "public",
        "table": "songs",
        "name": "ix",
        "detail": "a build or drop of it did not end; drop it, then build it again if it is wanted",
        "cure": "op.drop_index_online('ix')",
    }
    patient.cure(found)
    assert patient.findings() == []
    assert patient.database.execute(STATE).fetchone() is None


@pytest.mark.parametrize(
    ("statement", "before"),
    [
        ("CREATE INDEX CONCURRENTLY ix ON songs (title)", ""),
        ("DROP INDEX CONCURRENTLY ix", "CREATE INDEX ix ON songs (title)"),
    ],
)
def test_what_is_being_built_or_dropped_is_not_found_until_it_is_given_up(
    patient: Any,
    stranger: Any,
    empty_database_url: URL,
    connect: Connect,
    statement: str,
    before: str,
) -> None:
    patient.execute(SONGS, *filter(None, [before]))
    writer, builder = connect(empty_database_url), connect(empty_database_url)

    def work() -> None:
        with suppress(QueryCanceled):
            builder.execute(statement.encode())

    with writer.transaction():
        writer.execute("INSERT INTO songs (title) VALUES ('held')")
        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: patient.database.execute(STATE).fetchone() == (False,))
        assert patient.findings() == stranger.findings() == []
        patient.execute(f"SELECT pg_cancel_backend({builder.info.backend_pid})")
        thread.join()
        assert patient.names() == stranger.names() == ["ix"]


@pytest.mark.quick
def test_one_that_some_partitions_lack_is_found_and_not_dropped_with_its_parts(
    patient: Any,
) -> None:
    patient.execute(
        "CREATE TABLE plays (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE plays_1 PARTITION OF plays FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE INDEX whole ON ONLY plays (at)",
    )
    (found,) = patient.findings()
    assert (found["name"], found["severity"], found["cure"]) == ("whole", "error", None)
    assert "ATTACH" in found["detail"]
    patient.execute("CREATE INDEX part ON plays_1 (at)", "ALTER INDEX whole ATTACH PARTITION part")
    assert patient.findings() == []
