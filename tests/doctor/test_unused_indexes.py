"""Unused indexes, as far as the statistics can be trusted."""

from datetime import timedelta
from typing import Any

import pytest

from pgmodern.doctor import Kind
from pgmodern.doctor.statistics import Statistics
from pgmodern.doctor.unused_indexes import untrusted

SONGS = (
    "CREATE TABLE songs (id int PRIMARY KEY, title text NOT NULL, artist int, year int)",
    "INSERT INTO songs SELECT i, md5(i::text), i FROM generate_series(1, 2000) AS i",
)
FLUSH = "SELECT pg_stat_force_next_flush()"


@pytest.mark.quick
def test_one_is_found_and_its_cure_removes_it(patient: Any) -> None:
    patient.execute(*SONGS, "CREATE INDEX ix ON songs (year)", "VACUUM ANALYZE songs")
    (found,) = patient.findings()
    detail = found.pop("detail")
    assert found == {
        "kind": "unused-index",
        "severity": "warning",
        "schema": "public",
        "table": "songs",
        "name": "ix",
        "cure": "op.drop_index_online('ix')",
    }
    assert detail.startswith(("16 kB, not scanned in the ", "32 kB, not scanned in the "))
    assert detail.endswith(" of the statistics; is it younger than that?")
    patient.cure(found)
    assert patient.findings() == []


def test_one_scan_is_a_use(patient: Any) -> None:
    patient.execute(*SONGS, "CREATE INDEX ix ON songs (title)", "VACUUM ANALYZE songs")
    assert patient.names() == ["ix"]
    patient.execute("SELECT FROM songs WHERE title = 'x'", FLUSH, "SELECT 1")
    assert patient.names() == []


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX ix ON songs (title)",
        "CREATE INDEX ix ON songs (lower(title))",
        "CREATE INDEX ix ON songs (artist)",
        "ALTER TABLE songs ADD CONSTRAINT ix EXCLUDE USING hash (id WITH =)",
        "CREATE INDEX ix ON songs (year); ALTER TABLE songs CLUSTER ON ix",
    ],
)
def test_what_is_there_for_more_than_queries_is_not_found(patient: Any, index: str) -> None:
    patient.execute(
        *SONGS,
        "CREATE TABLE artists AS SELECT id FROM songs",
        "ALTER TABLE artists ADD PRIMARY KEY (id)",
        "ALTER TABLE songs ADD FOREIGN KEY (artist) REFERENCES artists",
        *index.split("; "),
        "VACUUM ANALYZE songs, artists",
    )
    assert patient.names(Kind.UNUSED_INDEX) == []


def test_of_a_pair_the_one_that_stays_is_not_found_as_well(patient: Any) -> None:
    patient.execute(*SONGS, "CREATE INDEX a ON songs (year)", "CREATE INDEX b ON songs (year)")
    patient.execute("VACUUM ANALYZE songs")
    (found,) = patient.findings(Kind.UNUSED_INDEX, Kind.DUPLICATE_INDEX)
    assert (found["name"], found["kind"]) == ("b", "duplicate-index")
    patient.cure(found)
    assert patient.names(Kind.UNUSED_INDEX) == ["a"]


def test_an_index_of_a_table_that_is_read_whole_is_not_found(patient: Any) -> None:
    patient.execute("CREATE TABLE songs (id int)", "CREATE INDEX ix ON songs (id)")
    patient.execute("INSERT INTO songs VALUES (1)", "VACUUM ANALYZE songs")
    assert patient.findings() == []


@pytest.mark.quick
def test_the_scans_of_a_partitioned_index_are_those_of_its_parts(patient: Any) -> None:
    patient.execute(
        "CREATE TABLE plays (at date, song int) PARTITION BY RANGE (at)",
        "CREATE TABLE plays_1 PARTITION OF plays FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE TABLE plays_2 PARTITION OF plays FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
        "CREATE INDEX ix ON plays (song)",
        "INSERT INTO plays SELECT '2026-02-02', i FROM generate_series(1, 3000) AS i",
        "VACUUM ANALYZE plays",
    )
    (found,) = patient.findings()
    assert (found["table"], found["name"]) == ("plays", "ix")
    assert found["cure"] == "op.drop_index('ix', table_name='plays')"
    patient.execute("SELECT FROM plays WHERE song = 1 AND at = '2026-02-02'", FLUSH, "SELECT 1")
    assert patient.findings() == []


@pytest.mark.quick
def test_young_statistics_prove_nothing_and_it_is_said(patient: Any) -> None:
    patient.execute(*SONGS, "CREATE INDEX ix ON songs (year)", "VACUUM ANALYZE songs")
    patient.execute("SELECT pg_stat_reset()")
    (found,) = patient.findings(days=1)
    assert (found["kind"], found["severity"], found["cure"]) == ("unused-index", "note", None)
    assert found["name"] == patient.database.info.dbname
    assert found["detail"] == "not known: the statistics are 0 h 0 min old, not 1 day (ix)"


def test_nothing_is_said_of_young_statistics_where_every_index_is_used(patient: Any) -> None:
    patient.execute(*SONGS, "VACUUM ANALYZE songs")
    assert patient.findings(days=10_000) == []


@pytest.mark.quick
@pytest.mark.parametrize(
    ("statistics", "days", "reason"),
    [
        (Statistics(timedelta(days=40), is_replica=False, counts=True, replicas=0), 30, None),
        (Statistics(timedelta(days=30), is_replica=False, counts=True, replicas=1), 30, None),
        (Statistics(timedelta(days=29), is_replica=False, counts=True, replicas=0), 30, "29 days"),
        (Statistics(timedelta(days=40), is_replica=True, counts=True, replicas=0), 30, "replica"),
        (Statistics(timedelta(days=40), is_replica=False, counts=False, replicas=0), 0, "counts"),
    ],
)
def test_what_makes_counters_of_nought_proof(
    statistics: Statistics, days: int, reason: str | None
) -> None:
    said = untrusted(statistics, days)
    assert said is None if reason is None else reason in str(said)


def test_a_database_that_does_not_count_says_so(patient: Any) -> None:
    patient.execute(*SONGS, "CREATE INDEX ix ON songs (year)", "VACUUM ANALYZE songs")
    patient.execute(f"ALTER DATABASE {patient.database.info.dbname} SET track_counts = off")
    (found,) = patient.findings()
    assert found["detail"] == "not known: track_counts is off (ix)"
