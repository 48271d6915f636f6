"""Every row converted for trial before anything is done."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from tests.operations.change_column_type.songs import (
    Apply,
    Dump,
    Psql,
    Step,
    columns,
)

pytestmark = pytest.mark.vector

ODD_VIBES = {
    7: ("'{1,2,3,4,5,6,7}'", "expected 8 dimensions, not 7"),
    9: ("'{}'", "must have at least 1 dimension"),
    11: ("'{1,2,3,4,5,6,7,NULL}'", "must not contain nulls"),
    12: ("'{1,2,3,4,5,6,7,NaN}'", "NaN not allowed"),
    13: ("'{1,2,3,4,5,6,7,-Infinity}'", "infinite value not allowed"),
    14: ("'{1,2,3,4,5,6,7,1e300}'", "infinite value not allowed"),
    16: ("'{{1,2,3,4},{5,6,7,8}}'", "must be 1-D"),
}


def rehearsed(op: Any) -> None:
    """Change the vectors' type, with a rehearsal."""
    op.change_column_type_online(
        "songs", "vibe", "vector(8)", using="vibe::vector(8)", rehearse=True
    )


def test_a_rehearsal_names_each_row_with_its_reason_before_anything_is_done(
    empty_database_url: URL, vibes: psycopg.Connection, apply: Apply, dump: Dump
) -> None:
    for key, (value, _) in ODD_VIBES.items():
        vibes.execute(f"UPDATE songs SET vibe = {value} WHERE id = {key}".encode())
    before = dump(empty_database_url)
    with pytest.raises(MigrationError) as stopped:
        apply(rehearsed)
    for key, (_, reason) in ODD_VIBES.items():
        assert re.search(rf"{reason}[^;]*\. Keys: [\d, ]*\b{key}\b", str(stopped.value)), key
    assert str(stopped.value).startswith(f"{len(ODD_VIBES)} rows of songs.vibe")
    assert dump(empty_database_url) == before
    vibes.execute("UPDATE songs SET vibe = NULL WHERE id = ANY (%s)", [list(ODD_VIBES)])
    apply(rehearsed)
    assert columns(vibes)["vibe"] == "vector(8)"


def test_a_rehearsal_names_no_more_than_can_be_read(
    vibes: psycopg.Connection, apply: Apply
) -> None:
    vibes.execute("UPDATE songs SET vibe = vibe[1:7] WHERE id > 1000")
    with pytest.raises(MigrationError, match=r"160 rows .* 1001, .*, 1024 and 140 more\."):
        apply(rehearsed)


def test_the_script_of_a_rehearsal_stops_before_anything_is_done(
    empty_database_url: URL,
    vibes: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
    dump: Dump,
) -> None:
    vibes.execute("UPDATE songs SET vibe = vibe[1:7] WHERE id IN (7, 701)")
    before = dump(empty_database_url)
    done = psql(empty_database_url, script(rehearsed))
    assert done.returncode != 0
    assert "expected 8 dimensions, not 7. Keys: 7, 701" in done.stderr
    assert dump(empty_database_url) == before
    vibes.execute("UPDATE songs SET vibe = NULL WHERE id IN (7, 701)")
    done = psql(empty_database_url, script(rehearsed))
    assert done.returncode == 0, done.stderr
    assert columns(vibes)["vibe"] == "vector(8)"
