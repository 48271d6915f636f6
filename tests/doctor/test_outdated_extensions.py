"""Extensions that ALTER EXTENSION would update."""

from typing import Any

import pytest


@pytest.mark.quick
def test_an_old_version_is_found_and_its_cure_updates_it(patient: Any) -> None:
    patient.execute("CREATE EXTENSION unaccent", "CREATE EXTENSION pg_trgm VERSION '1.5'")
    (found,) = patient.findings()
    detail = found.pop("detail")
    assert found == {
        "kind": "outdated-extension",
        "severity": "warning",
        "schema": None,
        "table": None,
        "name": "pg_trgm",
        "cure": "op.execute('ALTER EXTENSION \"pg_trgm\" UPDATE')",
    }
    assert detail == "1.5, and the server has 1.6"
    patient.cure(found)
    assert patient.findings() == []


def test_one_that_is_newer_than_the_package_is_left_alone(patient: Any) -> None:
    patient.execute(
        "CREATE EXTENSION pg_trgm",
        "UPDATE pg_extension SET extversion = '99.10' WHERE extname = 'pg_trgm'",
    )
    assert patient.findings() == []
    patient.execute("UPDATE pg_extension SET extversion = '1.05.9' WHERE extname = 'pg_trgm'")
    assert patient.names() == ["pg_trgm"]
