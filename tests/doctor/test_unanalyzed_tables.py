"""Tables that were never analyzed."""

from typing import Any

import pytest

from pgmodern.doctor import Kind

UNANALYZED = Kind.UNANALYZED_TABLE
SONGS = "CREATE TABLE songs (id int) WITH (autovacuum_enabled = off)"
FILL = "INSERT INTO {} SELECT * FROM generate_series(1, {})"
FLUSH = ("SELECT pg_stat_force_next_flush()", "SELECT 1")


def test_one_is_found_and_its_cure_analyzes_it(patient: Any) -> None:
    patient.execute(SONGS, FILL.format("songs", 5000), *FLUSH)
    (found,) = patient.findings()
    assert found == {
        "kind": "unanalyzed-table",
        "severity": "warning",
        "schema": "public",
        "table": "songs",
        "name": "songs",
        "detail": "about 5,000 rows, of which the planner has no statistics",
        "cure": "op.execute('ANALYZE \"songs\"')",
    }
    patient.cure(found)
    assert patient.findings() == []


def test_neither_a_small_one_nor_a_view_is_found(patient: Any) -> None:
    patient.execute(SONGS, FILL.format("songs", 900), "CREATE VIEW v AS SELECT FROM songs", *FLUSH)
    assert patient.findings() == []


def test_a_materialized_view_is_a_table_here(patient: Any) -> None:
    patient.execute("CREATE MATERIALIZED VIEW v AS SELECT * FROM generate_series(1, 5000)", *FLUSH)
    assert patient.names() == ["v"]


def test_a_partitioned_table_is_found_though_its_partitions_are_analyzed(patient: Any) -> None:
    patient.execute(
        "CREATE TABLE songs (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE songs_1 PARTITION OF songs FOR VALUES FROM (1) TO (3000)",
        "CREATE TABLE songs_2 PARTITION OF songs FOR VALUES FROM (3000) TO (6000)",
        FILL.format("songs", 5000),
        "ANALYZE songs_1, songs_2",
        *FLUSH,
    )
    (found,) = patient.findings()
    assert found["name"] == "songs"
    assert found["detail"].endswith("autovacuum never analyzes a partitioned table")
    patient.cure(found)
    assert patient.findings() == []


def test_the_rows_of_an_inheriting_table_are_its_own(patient: Any) -> None:
    patient.execute(SONGS, "CREATE TABLE covers () INHERITS (songs)", FILL.format("covers", 5000))
    patient.execute(*FLUSH)
    assert patient.names() == ["covers"]


@pytest.mark.quick
@pytest.mark.parametrize(
    "granted",
    [[], ["GRANT SELECT ON songs TO PUBLIC", "ALTER TABLE songs ENABLE ROW LEVEL SECURITY"]],
)
def test_of_what_a_role_may_not_read_nothing_is_claimed(
    patient: Any, stranger: Any, granted: list[str]
) -> None:
    patient.execute(SONGS, FILL.format("songs", 5000), *FLUSH, "ANALYZE songs", *granted)
    assert stranger.findings(UNANALYZED) == []
