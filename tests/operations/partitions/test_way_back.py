"""`op.unpartition_table_online`: the first partition is the table again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from pgmodern.locks import LockPolicy, bound
from pgmodern.operations.partitions import Table
from pgmodern.quoting import quoted
from tests.operations.partitions.plays import (
    BEYOND,
    Apply,
    Connect,
    Psql,
    SchemaOf,
    Step,
    checks,
    digest,
    one,
    partition,
    parts,
    unpartition,
)


def test_given_up_midway_it_is_undone_by_its_reverse(
    plays: psycopg.Connection, empty_database_url: URL, apply: Apply, schema_of: SchemaOf
) -> None:
    before = schema_of(empty_database_url)
    plays.execute(Table("plays", None, "at", "1 month", 3).announce(1).encode())
    assert checks(plays) == 1
    apply(unpartition)
    assert schema_of(empty_database_url) == before


def test_rows_of_another_partition_are_never_dropped(
    plays: psycopg.Connection, empty_database_url: URL, apply: Apply, schema_of: SchemaOf
) -> None:
    before = schema_of(empty_database_url)
    apply(partition)
    plays.execute(BEYOND)
    divided, rows = schema_of(empty_database_url), digest(plays)
    with pytest.raises(MigrationError, match=r"outside of its first .*, in public\.plays_f"):
        apply(unpartition)
    assert (schema_of(empty_database_url), digest(plays)) == (divided, rows)
    plays.execute("DELETE FROM plays WHERE at > now() + interval '20 days'")
    apply(unpartition)
    assert schema_of(empty_database_url) == before


def test_it_stays_partitioned_where_it_may_when_rows_lie_beyond(
    plays: psycopg.Connection, empty_database_url: URL, apply: Apply, schema_of: SchemaOf
) -> None:
    def if_possible(op: Any) -> None:
        op.unpartition_table_online("plays", if_possible=True)

    before = schema_of(empty_database_url)
    apply(partition)
    plays.execute(BEYOND)
    divided, rows = schema_of(empty_database_url), digest(plays)
    apply(if_possible)
    assert (schema_of(empty_database_url), digest(plays)) == (divided, rows)
    plays.execute("DELETE FROM plays WHERE at > now() + interval '20 days'")
    apply(if_possible)
    assert schema_of(empty_database_url) == before
    apply(partition)
    plays.execute("ALTER TABLE plays DETACH PARTITION " + parts(plays)[-1][0])
    apply(if_possible)
    assert len(parts(plays)) == 3


def test_what_came_to_depend_on_the_whole_is_not_cut_off(
    plays: psycopg.Connection, apply: Apply
) -> None:
    apply(partition)
    plays.execute("CREATE VIEW seen AS SELECT * FROM plays")
    with pytest.raises(MigrationError, match=r"view public\.seen"):
        apply(unpartition)
    assert len(parts(plays)) == 4
    plays.execute("DROP VIEW seen")
    plays.execute(
        "CREATE TABLE points (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES plays)"
    )
    with pytest.raises(MigrationError, match=r"on table public\.points"):
        apply(unpartition)
    plays.execute("DROP TABLE points")
    plays.execute("ALTER TABLE plays DETACH PARTITION " + parts(plays)[-1][0])
    with pytest.raises(MigrationError, match="no first partition"):
        apply(unpartition)


def test_what_changed_meanwhile_stays(plays: psycopg.Connection, apply: Apply, reader: str) -> None:
    apply(partition)
    plays.execute(
        f"ALTER TABLE plays ADD mood text DEFAULT 'good'; CREATE INDEX moods ON plays (mood); "
        f"COMMENT ON COLUMN plays.mood IS 'new'; REVOKE ALL ON plays FROM {reader}; "
        f"GRANT DELETE ON plays TO {reader}; DROP TRIGGER never ON plays; "
        f"DROP INDEX plays_title".encode()
    )
    apply(unpartition)
    found = plays.execute(
        "SELECT obj_description(oid, 'pg_class'), col_description(oid, 13), "
        "(SELECT string_agg(privilege_type, ' ') FROM aclexplode(relacl) "
        f"WHERE grantee = '{reader}'::regrole), (SELECT count(*) FROM pg_trigger "
        "WHERE tgrelid = c.oid AND NOT tgisinternal), "
        "(SELECT string_agg(name, ' ' ORDER BY name COLLATE \"C\") "
        "FROM pg_index, CAST(indexrelid::regclass AS text) AS name "
        "WHERE indrelid = c.oid) FROM pg_class AS c WHERE relname = 'plays'".encode()
    ).fetchone()
    assert found is not None
    assert found[2:] == ("DELETE", 3, '"Odd "" one" "The key" moods once')
    assert found[0] == "Who heard 'what'"
    assert one(plays, "SELECT mood FROM plays LIMIT 1") == "good"


def test_it_is_refused_before_anybody_has_to_wait_for_it(
    plays: psycopg.Connection, empty_database_url: URL, connect: Connect, apply: Apply
) -> None:
    apply(partition)
    plays.execute(BEYOND)
    holder = connect(empty_database_url)

    def step(op: Any) -> None:
        with bound(op.get_bind(), LockPolicy(timeout=0.05, deadline=0.1), None):
            unpartition(op)

    with holder.transaction():
        holder.execute("SELECT FROM plays")
        with pytest.raises(MigrationError, match="outside of its first partition") as refused:
            apply(step)
    assert "copy these rows" in refused.value.cure


def test_a_row_that_comes_while_it_waits_is_not_lost(
    plays: psycopg.Connection,
    empty_database_url: URL,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    apply(partition)
    rows = one(plays, "SELECT count(*) FROM plays")
    writer = connect(empty_database_url)
    with ThreadPoolExecutor() as pool:
        with writer.transaction():
            writer.execute(BEYOND.encode())
            going_back = pool.submit(apply, unpartition)
            blocked(empty_database_url)
        with pytest.raises(MigrationError, match="outside of its first partition"):
            going_back.result()
    assert one(plays, "SELECT count(*) FROM plays") == rows + 1


def test_a_transaction_that_could_not_see_such_a_row_is_refused(
    plays: psycopg.Connection,
    empty_database_url: URL,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    apply(partition)
    plays.execute(
        f"ALTER DATABASE {quoted(str(empty_database_url.database))} "
        "SET default_transaction_isolation = 'repeatable read'".encode()
    )
    done = psql(empty_database_url, script(unpartition))
    assert "SET default_transaction_isolation = 'read committed'" in done.stderr
    assert len(parts(plays)) == 4
    plays.execute(BEYOND)


def test_rows_that_row_level_security_hides_are_not_lost(
    plays: psycopg.Connection, apply: Apply, reader: str
) -> None:
    apply(partition)
    plays.execute(BEYOND)
    for name in ("plays", *(name for name, _ in parts(plays))):
        plays.execute(f"ALTER TABLE {name} OWNER TO {reader}".encode())
        if "_from_" in name:
            plays.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY".encode())
            plays.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY".encode())
    rows = digest(plays)

    def step(op: Any) -> None:
        op.execute(f"SET ROLE {reader}")
        unpartition(op)

    with pytest.raises(MigrationError, match="row-level security"):
        apply(step)
    assert digest(plays) == rows


@pytest.mark.parametrize(
    ("change", "named"),
    [("ENABLE ROW LEVEL SECURITY", "row level security"), ("REPLICA IDENTITY FULL", "replica")],
)
def test_what_would_be_lost_with_the_whole_is_refused(
    plays: psycopg.Connection, apply: Apply, change: str, named: str
) -> None:
    apply(partition)
    plays.execute(f"ALTER TABLE plays {change}".encode())
    with pytest.raises(MigrationError, match=named):
        apply(unpartition)
    assert len(parts(plays)) == 4
