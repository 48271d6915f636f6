"""A change of type as a script."""

from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL

from tests.operations.change_column_type.songs import (
    BACK,
    OLD,
    ROWS,
    THERE,
    VIBE,
    WRONG,
    Apply,
    Dump,
    Psql,
    Step,
    columns,
    drop,
    lines,
)


def test_the_script_does_the_same(
    empty_database_url: URL,
    rich: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    dump: Dump,
) -> None:
    before = lines(dump(empty_database_url)), rich.execute(ROWS).fetchone()
    apply(THERE)
    wanted = lines(dump(empty_database_url))
    apply(BACK)
    assert (lines(dump(empty_database_url)), rich.execute(ROWS).fetchone()) == before
    for _ in range(2):
        done = psql(empty_database_url, script(THERE))
        assert done.returncode == 0, done.stderr
        assert lines(dump(empty_database_url)) == wanted
        assert rich.execute(ROWS).fetchone() == before[1]
    done = psql(empty_database_url, script(BACK))
    assert done.returncode == 0, done.stderr
    assert lines(dump(empty_database_url)) == before[0]
    apply(THERE)
    done = psql(empty_database_url, script(drop("plays")))
    assert done.returncode == 0, done.stderr
    assert list(columns(rich)) == ["id", "title", "plays"]


@pytest.mark.vector
def test_the_script_stops_where_rows_cannot_be_converted(
    empty_database_url: URL, vibes: psycopg.Connection, script: Callable[[Step], str], psql: Psql
) -> None:
    vibes.execute("UPDATE songs SET vibe = vibe[1:7] WHERE id IN (7, 701)")
    done = psql(empty_database_url, script(VIBE))
    assert done.returncode != 0
    assert "7, 701" in done.stderr
    vibes.execute("UPDATE songs SET vibe = NULL WHERE id IN (7, 701)")
    done = psql(empty_database_url, script(VIBE))
    assert done.returncode == 0, done.stderr
    assert vibes.execute(WRONG.format(old=OLD).encode()).fetchone() == (0,)
