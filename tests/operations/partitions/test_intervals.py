"""`op.add_partitions`: the partitions that come next, and where they begin and end."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from tests.kills import libpq
from tests.operations.partitions.plays import (
    Apply,
    Connect,
    Psql,
    SchemaOf,
    Step,
    one,
    partition,
    parts,
)

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def test_next_partitions_are_made_when_they_are_missing(
    plays: psycopg.Connection,
    empty_database_url: URL,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    schema_of: SchemaOf,
) -> None:
    apply(lambda op: op.partition_table_online("plays", "at", interval="2 weeks", ahead=1))
    before = schema_of(empty_database_url)
    apply(lambda op: op.add_partitions("plays", 1))
    assert schema_of(empty_database_url) == before
    apply(lambda op: op.add_partitions("plays", ahead=2))
    assert len(parts(plays)) == 3
    apply(lambda op: op.add_partitions("plays"))
    assert len(parts(plays)) == 4
    done = psql(empty_database_url, script(lambda op: op.add_partitions("plays", 6)))
    assert done.returncode == 0, done.stderr
    options = plays.execute(
        "SELECT DISTINCT reloptions::text, obj_description(oid, 'pg_class') "
        "FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'plays'::regclass"
    ).fetchall()
    assert options == [
        ("{fillfactor=70,autovacuum_enabled=false}", "pgmodern: a partition by 2 weeks")
    ]
    for weeks in range(0, 14, 2):
        plays.execute(
            "INSERT INTO plays (listener, at) VALUES (1, now() + %s * interval '1 week')", [weeks]
        )
    apply(lambda op: op.add_partitions("plays", 6))
    assert len(parts(plays)) == 7


def test_missing_partitions_are_made_in_the_revision_s_transaction(
    plays: psycopg.Connection, apply: Apply
) -> None:
    apply(lambda op: op.partition_table_online("plays", "at", ahead=1))

    def step(op: Any) -> None:
        op.execute("SET LOCAL search_path = pg_catalog, public")
        op.execute("SET LOCAL DateStyle = 'German'")
        op.add_partitions("plays")
        op.execute(
            "DO $$ BEGIN ASSERT current_setting('search_path') = 'pg_catalog, public'; "
            "ASSERT current_setting('DateStyle') LIKE 'German%'; END $$"
        )
        op.execute("SELECT 1 / 0")

    with pytest.raises(Exception, match="division by zero"):
        apply(step)
    assert len(parts(plays)) == 2


def test_adding_partitions_blocks_no_reads_or_writes(
    plays: psycopg.Connection, empty_database_url: URL, connect: Connect, apply: Apply
) -> None:
    apply(lambda op: op.partition_table_online("plays", "at", ahead=1))
    writer = connect(empty_database_url)
    with writer.transaction():
        writer.execute("UPDATE plays SET title = 'b' WHERE number < 10")
        apply(lambda op: op.add_partitions("plays"))
    assert len(parts(plays)) == 4


def test_what_is_not_partitioned_gets_no_partitions(
    plays: psycopg.Connection, apply: Apply
) -> None:
    with pytest.raises(MigrationError, match="no partitions"):
        apply(lambda op: op.add_partitions("plays"))


@pytest.mark.parametrize("kind", ["date", "timestamp(3)", "timestamptz"])
@pytest.mark.parametrize("interval", ["1 day", "1 week", "3 months", "1 year"])
def test_times_are_divided_at_whole_intervals(
    database: psycopg.Connection, apply: Apply, kind: str, interval: str
) -> None:
    database.execute(f"CREATE TABLE t (at {kind} PRIMARY KEY)".encode())
    database.execute(
        "INSERT INTO t SELECT now() - i * interval '1 day' FROM generate_series(0, 9) AS i"
    )
    database.execute("SET timezone = 'Pacific/Kiritimati'")

    def step(op: Any) -> None:
        op.execute("SET timezone = 'Pacific/Kiritimati'")
        op.partition_table_online("t", "at", interval=interval, ahead=2)

    for _ in range(2):
        apply(step)
    database.execute("SET timezone = 'UTC'")
    unit = interval.split()[1].rstrip("s").replace("month", "quarter")
    wholes = database.execute(
        f"SELECT bound = date_trunc('{unit}', bound), bound > now()::timestamp + interval '1 day', "
        f"bound <= now()::timestamp + interval '1 day' + interval '{interval}' * place "
        "FROM (SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO ..([^'']*)')::timestamp, "
        "row_number() OVER (ORDER BY pg_get_expr(relpartbound, oid) LIKE '%MINVALUE%' DESC, "
        "relname) FROM pg_inherits JOIN pg_class ON oid = inhrelid "
        "WHERE inhparent = 't'::regclass) AS p (bound, place)".encode()
    ).fetchall()
    assert wholes == [(True, True, True)] * 3


@pytest.mark.parametrize("kind", ["smallint", "int", "bigint"])
def test_numbers_are_divided_at_whole_intervals(
    database: psycopg.Connection, apply: Apply, kind: str
) -> None:
    database.execute(f"CREATE TABLE t (id {kind} PRIMARY KEY)".encode())
    database.execute("INSERT INTO t SELECT generate_series(1, 2345)")
    for _ in range(2):
        apply(lambda op: op.partition_table_online("t", "id", interval=1000, ahead=2))
    assert parts(database, "t") == [
        ("t_from_4000", "FOR VALUES FROM ('4000') TO ('5000')"),
        ("t_from_5000", "FOR VALUES FROM ('5000') TO ('6000')"),
        ("t_until_4000", "FOR VALUES FROM (MINVALUE) TO ('4000')"),
    ] or parts(database, "t") == [
        ("t_from_4000", "FOR VALUES FROM (4000) TO (5000)"),
        ("t_from_5000", "FOR VALUES FROM (5000) TO (6000)"),
        ("t_until_4000", "FOR VALUES FROM (MINVALUE) TO (4000)"),
    ]
    database.execute("INSERT INTO t VALUES (4321)")
    apply(lambda op: op.add_partitions("t", 2))
    assert [name for name, _ in parts(database, "t")] == [
        "t_from_4000",
        "t_from_5000",
        "t_from_6000",
        "t_until_4000",
    ]


def test_an_empty_table_can_be_partitioned(database: psycopg.Connection, apply: Apply) -> None:
    apply(lambda op: op.partition_table_online("songs", "id", interval=100, ahead=1))
    assert [name for name, _ in parts(database, "songs")] == ["songs_from_100", "songs_until_100"]
    assert one(database, "INSERT INTO songs (title) VALUES ('x') RETURNING id") == 1


def test_new_partitions_are_tuned_as_the_one_before(
    plays: psycopg.Connection, apply: Apply
) -> None:
    plays.execute("ALTER TABLE plays SET (toast.autovacuum_enabled = false)")
    plays.execute("ALTER TABLE plays ALTER listener SET (n_distinct = 9)")
    apply(partition)
    apply(lambda op: op.add_partitions("plays", 4))
    tuned = plays.execute(
        "SELECT (SELECT reloptions::text FROM pg_class WHERE oid = c.reltoastrelid), "
        "(SELECT string_agg(concat(attname, to_jsonb(a) ->> 'attstattarget', "
        "substring(attoptions::text, 'n_distinct=[0-9]+')), ' ' ORDER BY attname) "
        "FROM pg_attribute AS a WHERE attrelid = c.oid AND attname IN ('title', 'listener')) "
        "FROM pg_class AS c JOIN pg_inherits ON oid = inhrelid "
        "WHERE inhparent = 'plays'::regclass"
    ).fetchall()
    assert tuned == [("{autovacuum_enabled=false}", "listenern_distinct=9 title7")] * 5


def test_rows_of_a_default_partition_are_in_the_way(
    plays: psycopg.Connection, apply: Apply
) -> None:
    apply(partition)
    plays.execute("CREATE TABLE others PARTITION OF plays DEFAULT")
    apply(lambda op: op.add_partitions("plays", 4))
    assert len(parts(plays)) == 6
    plays.execute("INSERT INTO plays (listener, at) VALUES (1, now() + interval '200 days')")
    with pytest.raises(MigrationError, match=r"default partition of public\.plays") as refused:
        apply(lambda op: op.add_partitions("plays", 12))
    assert "Detach it" in refused.value.cure
    assert len(parts(plays)) == 6


PROGRAM = re.search(r"```python\n(# add_partitions\.py.*?)```", OPERATIONS.read_text(), re.DOTALL)


def test_no_insert_fails_as_long_as_the_program_of_the_documentation_runs(
    database: psycopg.Connection, empty_database_url: URL, environ: dict[str, str], apply: Apply
) -> None:
    """Between two runs the key advances by as many intervals as lie ahead, and never by more."""
    assert PROGRAM is not None
    ahead = 3
    apply(lambda op: op.partition_table_online("songs", "id", interval=100, ahead=ahead))
    insert = "INSERT INTO songs (id) SELECT generate_series({}, {})"
    database.execute("INSERT INTO songs (id) VALUES (99)")
    for last in (99, 399, 699, 999):
        run_program(PROGRAM[1].replace('"plays"', '"songs"'), empty_database_url, environ)
        database.execute(insert.format(last + 1, last + 100 * ahead).encode())
    with pytest.raises(psycopg.errors.CheckViolation):  # nothing lies further ahead than that
        database.execute("INSERT INTO songs (id) VALUES (1300)")


def run_program(program: str, url: URL, environ: dict[str, str]) -> None:
    """Run it as cron does."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ | {"DATABASE_URL": libpq(url)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
