"""What hangs on an index passes to the one that takes its place."""

import subprocess
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL, text

from tests.operations.indexes import Apply, Step, index, replace

Proof = Callable[..., None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

FILL = "INSERT INTO songs (title, album) SELECT md5(i::text), 'a' FROM generate_series(1, 200) AS i"
ADORNED = """
    CREATE EXTENSION pg_trgm;
    CREATE INDEX ix ON songs (lower(title), album);
    COMMENT ON INDEX ix IS 'by it''s title';
    ALTER TABLE songs CLUSTER ON ix;
    ALTER INDEX ix ALTER COLUMN 1 SET STATISTICS 77;
    ALTER INDEX ix DEPENDS ON EXTENSION pg_trgm;
"""
LOWER, UPPER = text("lower(title)"), text("upper(title)")
HANGS = (
    "COMMENT ON INDEX public.ix IS 'by it''s title';",
    "ALTER TABLE public.songs CLUSTER ON ix;",
    "ALTER INDEX public.ix ALTER COLUMN 1 SET STATISTICS 77;",
    "ALTER INDEX public.ix DEPENDS ON EXTENSION pg_trgm;",
)


def hanging(dumped: str) -> tuple[bool, ...]:
    """Tell which of what hung on the index still does."""
    return tuple(each in dumped for each in HANGS)


def test_a_replacement_survives_every_kill(proof: Proof) -> None:
    there, back = replace(LOWER), replace(LOWER, "album")
    proof("replace_index_online", there, back, fill=ADORNED + FILL)


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize(
    ("step", "kept"),
    [
        (replace(LOWER), (True, True, True, True)),
        (replace("album", LOWER), (True, True, False, True)),
        (replace(UPPER), (True, True, False, True)),
        (replace("title"), (True, True, False, True)),
        (replace(LOWER, postgresql_where=text("id > 1")), (True, False, True, True)),
        (replace("title", postgresql_using="brin"), (True, False, False, True)),
    ],
)
def test_what_hangs_on_the_index_passes_to_its_successor(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    dump: Callable[[URL], str],
    offline: bool,
    step: Step,
    kept: tuple[bool, ...],
) -> None:
    database.execute(ADORNED)
    before = index(database)
    assert all(hanging(dump(empty_database_url)))
    if offline:
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
    else:
        apply(step)
    assert index(database) != before
    assert hanging(dump(empty_database_url)) == kept


@pytest.mark.parametrize("offline", [False, True])
def test_the_successor_lies_where_the_old_one_lay(
    empty_database_url: URL,
    database: psycopg.Connection,
    tablespace: str,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    offline: bool,
) -> None:
    def run(step: Step) -> None:
        if offline:
            done = psql(empty_database_url, script(step))
            assert done.returncode == 0, done.stderr
        else:
            apply(step)

    lies = "SELECT tablespace FROM pg_indexes WHERE indexname = 'ix'"
    database.execute(f"CREATE INDEX ix ON songs (title) TABLESPACE {tablespace}".encode())
    run(replace("title", "album"))
    assert database.execute(lies).fetchone() == (tablespace,)
    run(replace("album", postgresql_tablespace="pg_default"))
    assert database.execute(lies).fetchone() == (None,)
