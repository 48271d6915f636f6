"""Constraints that are NOT VALID."""

from typing import Any

import pytest

from pgmodern.names import derived

SONGS = "CREATE TABLE songs (id int PRIMARY KEY, title text, of int)"


@pytest.mark.quick
@pytest.mark.parametrize(
    "constraint", ["CHECK (id > 0)", "CHECK (true)", "FOREIGN KEY (of) REFERENCES songs"]
)
def test_one_is_found_and_its_cure_validates_it(patient: Any, constraint: str) -> None:
    patient.execute(
        SONGS,
        "CREATE INDEX ON songs (of)",
        f"ALTER TABLE songs ADD CONSTRAINT odd {constraint} NOT VALID",
    )
    (found,) = patient.findings()
    assert found == {
        "kind": "unvalidated-constraint",
        "severity": "warning",
        "schema": "public",
        "table": "songs",
        "name": "odd",
        "detail": "holds for new rows only, and the planner does not rely on it",
        "cure": 'op.execute(\'ALTER TABLE "songs" VALIDATE CONSTRAINT "odd"\')',
    }
    patient.cure(found)
    assert patient.findings() == []
    query = "SELECT convalidated FROM pg_constraint WHERE conname = 'odd'"
    assert patient.database.execute(query).fetchone() == (True,)


@pytest.mark.quick
def test_what_set_not_null_online_left_behind_is_ended_by_it(patient: Any) -> None:
    name = derived("pgmodern_not_null", "", "title")
    patient.execute(SONGS, f"ALTER TABLE songs ADD CONSTRAINT {name} CHECK (title <> '') NOT VALID")
    (found,) = patient.findings()
    assert found["cure"] == "op.set_not_null_online('songs', 'title')"
    patient.execute(f"ALTER TABLE songs DROP CONSTRAINT {name}")
    patient.execute(f"ALTER TABLE songs ADD CONSTRAINT {name} CHECK (title IS NOT NULL) NOT VALID")
    patient.cure(found)
    assert patient.findings() == []


@pytest.mark.quick
def test_what_a_partitioning_left_behind_is_undone_by_its_reverse(patient: Any) -> None:
    patient.execute("CREATE TABLE plays (at date NOT NULL)")
    patient.execute(
        "ALTER TABLE plays ADD CONSTRAINT pgmodern_before_20300101 "
        "CHECK (at < '2030-01-01') NOT VALID"
    )
    (found,) = patient.findings()
    assert found["cure"] == "op.unpartition_table_online('plays')"
    patient.cure(found)
    assert patient.findings() == []


def test_partitions_and_children_are_validated_with_their_parent(patient: Any) -> None:
    patient.execute(
        "CREATE TABLE plays (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE plays_1 PARTITION OF plays FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "ALTER TABLE plays ADD CONSTRAINT late CHECK (at > '2000-01-01') NOT VALID",
    )
    (found,) = patient.findings()
    assert found["table"] == "plays"
    patient.cure(found)
    assert patient.findings() == []


@pytest.mark.since(18, "NOT NULL that is NOT VALID")
def test_a_not_null_that_is_not_valid_is_found_and_one_that_is_not_enforced_is_none(
    patient: Any,
) -> None:
    patient.execute(
        SONGS,
        "ALTER TABLE songs ADD CONSTRAINT titled NOT NULL title NOT VALID",
        "ALTER TABLE songs ADD CONSTRAINT wish CHECK (id > 0) NOT ENFORCED",
    )
    (found,) = patient.findings()
    assert found["name"] == "titled"
    patient.cure(found)
    assert patient.findings() == []
