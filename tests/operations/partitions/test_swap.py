"""`op.partition_table_online`: a table becomes its own first partition."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.operations.partitions import Table
from pgmodern.quoting import quoted
from tests.operations.partitions.plays import (
    Apply,
    Psql,
    SchemaOf,
    Step,
    digest,
    one,
    partition,
    parts,
    unpartition,
)


def test_it_comes_goes_without_remains_and_comes_again(
    plays: psycopg.Connection, empty_database_url: URL, apply: Apply, schema_of: SchemaOf
) -> None:
    before, rows = schema_of(empty_database_url), digest(plays)
    for _ in range(2):
        apply(partition)
        divided = schema_of(empty_database_url)
        apply(partition)
        assert schema_of(empty_database_url) == divided
        assert len(parts(plays)) == 4
        assert digest(plays) == rows
        apply(unpartition)
        assert schema_of(empty_database_url) == before
        apply(unpartition)
        assert schema_of(empty_database_url) == before
        assert digest(plays) == rows


def test_not_a_row_is_copied_and_no_scan_is_under_a_lock(plays: psycopg.Connection) -> None:
    table = Table("plays", None, "at", "1 month", 3)
    said: list[str] = []
    plays.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
    files = "SELECT pg_relation_filenode('{}')"
    before = one(plays, files.format("plays"))
    for block in (table.announce, table.validate):
        plays.execute(block(1).encode())
    plays.execute("SET client_min_messages = debug1")
    plays.execute(table.swap(1).encode())
    first = parts(plays)[-1][0]
    assert one(plays, files.format(first)) == before
    assert f'partition constraint for table "{first}" is implied by existing constraints' in said
    assert f'verifying table "{first}"' not in said
    # The new partitions are empty; the first one's foreign key is taken as it is.
    assert said.count('validating foreign key constraint "listens"') == 3


def test_everything_keeps_its_name(plays: psycopg.Connection, apply: Apply, reader: str) -> None:
    query = f"""
        SELECT 'index', relname::text, obj_description(oid, 'pg_class')
        FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'plays'::regclass
        UNION ALL
        SELECT contype::text, conname, pg_get_constraintdef(oid) ||
            coalesce(obj_description(oid, 'pg_constraint'), '')
        FROM pg_constraint WHERE conrelid = 'plays'::regclass
        UNION ALL
        SELECT tgenabled::text, pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger')
        FROM pg_trigger WHERE tgrelid = 'plays'::regclass AND NOT tgisinternal
        UNION ALL
        SELECT attname, concat_ws(' ', format_type(atttypid, atttypmod), attidentity, attgenerated,
                attnotnull, attstorage, array_to_string(attoptions, ' ') LIKE '%n_distinct=5%',
                to_jsonb(a) ->> 'attstattarget', attacl),
            col_description(attrelid, attnum) FROM pg_attribute AS a
            WHERE attrelid = 'plays'::regclass AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT pg_get_statisticsobjdef(oid), stxname, '' FROM pg_statistic_ext
            WHERE stxrelid = 'plays'::regclass
        UNION ALL
        SELECT 'table', obj_description(oid, 'pg_class'),
            concat(relacl, has_table_privilege('{reader}', oid, 'INSERT'))
            FROM pg_class WHERE relname = 'plays'
        UNION ALL
        SELECT 'sequence', own, concat(has_sequence_privilege('{reader}', own, 'USAGE'),
            has_sequence_privilege('{reader}', own, 'UPDATE'))
            FROM unnest(ARRAY['id', 'number']) AS c, pg_get_serial_sequence('plays', c) AS own
        ORDER BY 1, 2, 3"""
    plays.execute("ALTER TABLE plays ALTER title SET (n_distinct = 5)")
    before = plays.execute(query.encode()).fetchall()
    apply(partition)
    assert plays.execute(query.encode()).fetchall() == before


def test_sequences_go_on_and_rows_find_their_partition(
    plays: psycopg.Connection, apply: Apply
) -> None:
    insert = (
        "INSERT INTO plays (listener, title, at) VALUES (1, 'a', now()), "
        "(2, 'b', now() + interval '50 days') RETURNING id, number, tableoid::regclass::text"
    )
    apply(partition)
    names = [name for name, _ in parts(plays)]
    now, later = plays.execute(insert.encode()).fetchall()
    assert now == (5 + 3 * 500, 501, names[-1])
    assert later[:2] == (5 + 3 * 501, 502)
    assert later[2] in names[:-1]
    assert plays.execute("SELECT what, count(*) FROM log GROUP BY 1 ORDER BY 1").fetchall() == [
        ("After each", 2),
        ("before_each", 2),
        ("in_all", 1),
    ]
    plays.execute("DELETE FROM plays WHERE at > now() + interval '20 days'")
    apply(unpartition)
    (row, _) = plays.execute(insert.encode()).fetchall()
    assert row == (5 + 3 * 502, 503, "plays")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        plays.execute("INSERT INTO plays (listener) VALUES (99)")


def test_foreign_keys_of_every_partition_hold(plays: psycopg.Connection, apply: Apply) -> None:
    apply(partition)
    for at in ("now()", "now() + interval '50 days'"):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            plays.execute(f"INSERT INTO plays (listener, at) VALUES (99, {at})".encode())
        plays.execute(f"INSERT INTO plays (listener, at) VALUES (1, {at})".encode())
    plays.execute("DELETE FROM listeners WHERE id = 1")
    assert one(plays, "SELECT count(*) FROM plays WHERE listener = 1") == 0


def test_the_script_does_the_same(
    plays: psycopg.Connection,
    empty_database_url: URL,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    schema_of: SchemaOf,
) -> None:
    before = schema_of(empty_database_url)
    apply(partition)
    divided = schema_of(empty_database_url)
    apply(unpartition)
    for step, after in ((partition, divided), (unpartition, before)):
        for _ in range(2):
            done = psql(empty_database_url, script(step))
            assert done.returncode == 0, done.stderr
            assert schema_of(empty_database_url) == after


def test_a_script_that_is_refused_says_why(
    plays: psycopg.Connection, empty_database_url: URL, script: Callable[[Step], str], psql: Psql
) -> None:
    plays.execute("CREATE VIEW seen AS SELECT * FROM plays")
    done = psql(empty_database_url, script(partition))
    assert done.returncode != 0
    assert "it is used by" in done.stderr
    assert "HINT:" in done.stderr
    assert parts(plays) == []


@pytest.mark.parametrize(
    "name",
    ['My "plays": 1%', "It's: {a} \\ %s $1 $$ %(x)s", "P" * 63, "é" * 31, "a" * 55, "pgmodern"],
)
@pytest.mark.parametrize("schema", [None, 'Other "one" %s:'])
def test_odd_names_are_quoted(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    schema_of: SchemaOf,
    name: str,
    schema: str | None,
) -> None:
    column = name[:30]
    table = quoted(name, schema)
    if schema:
        database.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    database.execute(
        f"CREATE TABLE {table} ({quoted(column)} timestamptz NOT NULL, other serial)".encode()
    )
    for i in range(3):
        index = name[:-1] + str(i)
        database.execute(f"CREATE INDEX {quoted(index)} ON {table} (other)".encode())
    database.execute(f"INSERT INTO {table} VALUES (now())".encode())
    before = schema_of(empty_database_url)

    def there(op: Any) -> None:
        op.partition_table_online(name, column, schema=schema, ahead=1)
        op.partition_table_online(name, column, schema=schema, ahead=1)

    def back(op: Any) -> None:
        op.unpartition_table_online(name, schema=schema)

    apply(there)
    apply(lambda op: op.add_partitions(name, 2, schema=schema))
    assert len(parts(database, table)) == 3
    assert one(database, "SELECT max(octet_length(relname::text)) FROM pg_class") <= 63
    apply(back)
    assert schema_of(empty_database_url) == before
    apply(there)
    divided = schema_of(empty_database_url)
    apply(back)
    for step, after in ((there, divided), (back, before)):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert schema_of(empty_database_url) == after


def test_its_owner_needs_no_other_rights(
    plays: psycopg.Connection,
    empty_database_url: URL,
    apply: Apply,
    schema_of: SchemaOf,
    reader: str,
) -> None:
    plays.execute(f"GRANT CREATE ON SCHEMA public TO {reader}".encode())
    plays.execute(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {reader} GRANT ALL ON TABLES TO PUBLIC".encode()
    )
    plays.execute(
        f"ALTER TABLE plays OWNER TO {reader}; ALTER TABLE listeners OWNER TO {reader}; "
        f"ALTER STATISTICS plays_facts OWNER TO {reader}".encode()
    )
    before = schema_of(empty_database_url)

    def as_owner(step: Step) -> Step:
        def run(op: Any) -> None:
            op.execute(f"SET ROLE {reader}")
            step(op)

        return run

    for _ in range(2):
        apply(as_owner(partition))
        apply(as_owner(lambda op: op.add_partitions("plays", 5)))
        assert (
            one(
                plays,
                f"SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') "
                f"AND relname LIKE 'plays%' AND relowner <> '{reader}'::regrole",
            )
            == 0
        )
        apply(as_owner(unpartition))
        assert schema_of(empty_database_url) == before


def test_another_than_the_owner_may_migrate_and_it_stays_the_owner_s(
    plays: psycopg.Connection, apply: Apply, reader: str
) -> None:
    plays.execute(f"GRANT CREATE ON SCHEMA public TO {reader}".encode())
    plays.execute(f"ALTER TABLE plays OWNER TO {reader}".encode())
    plays.execute(f"ALTER STATISTICS plays_facts OWNER TO {reader}".encode())
    apply(partition)
    query = "SELECT count(*) FROM {} WHERE {} AND {}owner <> '{}'::regrole"
    for catalogue, which, prefix in (
        ("pg_class", "relname LIKE 'plays%'", "rel"),
        ("pg_statistic_ext", "stxname LIKE 'plays%'", "stx"),
    ):
        assert one(plays, query.format(catalogue, which, prefix, reader)) == 0


def test_each_is_the_reverse_of_the_other(
    plays: psycopg.Connection, empty_database_url: URL, apply: Apply, schema_of: SchemaOf
) -> None:
    from pgmodern.operations.partition_table import PartitionTableOnline

    before = schema_of(empty_database_url)
    forward = PartitionTableOnline(Table("plays", None, "at", "1 month", 3))
    apply(lambda op: op.invoke(forward))
    assert schema_of(empty_database_url) != before
    apply(lambda op: op.invoke(forward.reverse()))
    assert schema_of(empty_database_url) == before


def test_autogenerate_writes_what_was_meant() -> None:
    from alembic.autogenerate import render_python_code
    from alembic.operations.ops import UpgradeOps

    from pgmodern.operations.partition_table import (
        AddPartitions,
        PartitionTableOnline,
        UnpartitionTableOnline,
    )

    forward = PartitionTableOnline(Table("plays", "s", "at", "1 day", 2, "2030-01-01"))
    operations = [
        forward,
        forward.reverse(),
        AddPartitions("plays", 3),
        UnpartitionTableOnline("songs", if_possible=True),
    ]
    assert isinstance(operations[1], UnpartitionTableOnline)
    written = render_python_code(UpgradeOps(operations))
    assert "op.partition_table_online('plays', 'at', interval='1 day', ahead=2, " in written
    assert "starting='2030-01-01', schema='s')" in written
    assert "op.unpartition_table_online('plays', schema='s')" in written
    assert "op.add_partitions('plays', 3)" in written
    assert "op.unpartition_table_online('songs', if_possible=True)" in written
