"""Long pending lists of GIN indexes, and what is said where they cannot be seen."""

from typing import Any

import pytest

from pgmodern.doctor import Kind

PENDING = Kind.PENDING_LIST
SONGS = (
    "CREATE TABLE songs (id int, tags jsonb) WITH (autovacuum_enabled = off)",
    "CREATE INDEX ix ON songs USING gin (tags)",
)
FILL = """INSERT INTO songs SELECT i, jsonb_build_object('a', md5(i::text), 'b', i)
    FROM generate_series(1, {}) AS i"""


def test_a_long_one_is_found_and_its_cure_empties_it(patient: Any) -> None:
    patient.execute("CREATE EXTENSION pgstattuple", *SONGS, FILL.format(100))
    assert patient.findings(PENDING) == []
    patient.execute(FILL.format(10_000))
    (found,) = patient.findings(PENDING)
    detail = found.pop("detail")
    assert found == {
        "kind": "pending-list",
        "severity": "warning",
        "schema": "public",
        "table": "songs",
        "name": "ix",
        "cure": "op.execute('SELECT gin_clean_pending_list(to_regclass(\\'\"public\".\"ix\"\\'))')",
    }
    assert detail.startswith("every search reads its pending list of 1")
    patient.cure(found)
    assert patient.findings(PENDING) == []


def test_without_the_extension_it_is_said_that_it_is_not_known(patient: Any) -> None:
    patient.execute(*SONGS, FILL.format(10_000), "SELECT pg_stat_force_next_flush()", "SELECT 1")
    (found,) = patient.findings(PENDING)
    assert found == {
        "kind": "pending-list",
        "severity": "note",
        "schema": None,
        "table": None,
        "name": patient.database.info.dbname,
        "detail": "not known: the extension pgstattuple would show the pending list of 1 GIN index",
        "cure": "op.create_extension('pgstattuple', '0', '')",
    }
    patient.cure(found)
    (found,) = patient.findings(PENDING)
    assert found["severity"] == "warning"


@pytest.mark.parametrize(
    "statement",
    ["VACUUM ANALYZE songs", "ALTER INDEX ix SET (fastupdate = off)", "SELECT pg_stat_reset()"],
)
def test_nothing_is_said_where_nothing_can_be_pending(patient: Any, statement: str) -> None:
    patient.execute(*SONGS, FILL.format(100), "SELECT pg_stat_force_next_flush()", "SELECT 1")
    assert len(patient.findings(PENDING)) == 1
    patient.execute(statement)
    assert patient.findings(PENDING) == []


@pytest.mark.quick
def test_a_role_that_may_not_ask_is_told_what_it_lacks(patient: Any, stranger: Any) -> None:
    patient.execute("CREATE EXTENSION pgstattuple", *SONGS, FILL.format(10_000))
    patient.execute("SELECT pg_stat_force_next_flush()", "SELECT 1")
    (found,) = stranger.findings(PENDING)
    assert found["severity"] == "note"
    role = stranger.database.info.user
    assert f"{role} may not execute pgstatginindex" in found["detail"]
    patient.cure(found)
    (found,) = stranger.findings(PENDING)
    assert (found["severity"], found["name"]) == ("warning", "ix")


def test_each_partition_has_a_list_of_its_own(patient: Any) -> None:
    patient.execute(
        "CREATE EXTENSION pgstattuple",
        "CREATE TABLE songs (id int, tags jsonb) PARTITION BY RANGE (id)",
        "CREATE TABLE songs_1 PARTITION OF songs FOR VALUES FROM (1) TO (1000000)",
        "CREATE INDEX ix ON songs USING gin (tags)",
        FILL.format(12_000),
    )
    (found,) = patient.findings(PENDING)
    assert (found["table"], found["name"]) == ("songs_1", "songs_1_tags_idx")
    patient.cure(found)
    assert patient.findings(PENDING) == []
