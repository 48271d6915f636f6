"""What could not be kept is refused before anything is done, with the reason."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from pgmodern.operations.partitions import Table
from tests.operations.partitions.plays import Apply, SchemaOf, checks, partition, parts, unpartition

REFUSED = [
    ("ALTER TABLE plays ADD UNIQUE (id)", "plays_id_key"),
    ("CREATE UNIQUE INDEX ix ON plays (number) INCLUDE (at)", "unique index ix"),
    ("CREATE UNIQUE INDEX ix ON plays ((at AT TIME ZONE 'UTC'))", "unique index ix"),
    (
        "CREATE TABLE points (id bigint, at timestamptz, CONSTRAINT fk FOREIGN KEY (id, at) "
        "REFERENCES plays)",
        "constraint fk on table public.points",
    ),
    (
        "ALTER TABLE plays ADD UNIQUE (at, id), ADD COLUMN a timestamptz, ADD COLUMN b bigint, "
        "ADD CONSTRAINT self FOREIGN KEY (a, b) REFERENCES plays (at, id)",
        "constraint self",
    ),
    ('ALTER TABLE plays DROP CONSTRAINT "The key", ALTER at DROP NOT NULL', "may be null"),
    (
        "ALTER TABLE plays ADD CONSTRAINT ex EXCLUDE USING gist (tstzrange(at, at) WITH &&)",
        "exclusion",
    ),
    ("CREATE TABLE child () INHERITS (plays)", "ordinary"),
    ("CREATE VIEW seen AS SELECT id FROM plays", "view public.seen"),
    ("CREATE MATERIALIZED VIEW seen AS SELECT id FROM plays", "seen"),
    ("CREATE RULE r AS ON DELETE TO plays DO ALSO NOTHING", "rule r"),
    ("CREATE FUNCTION f(plays) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.f("),
    (
        "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT max(id) FROM plays; END",
        "function public.f(",
    ),
    ("CREATE TABLE t (a plays[])", "column a of table public.t"),
    ("CREATE POLICY p ON plays", "policy p"),
    (
        "CREATE TABLE r (id int PRIMARY KEY) PARTITION BY RANGE (id); "
        "ALTER TABLE plays ADD r int CONSTRAINT far REFERENCES r",
        "foreign key far points at a partitioned table",
    ),
    ("ALTER TABLE plays ENABLE ROW LEVEL SECURITY", "row level security"),
    ("CREATE PUBLICATION p FOR TABLE plays", "publication"),
    ("CREATE PUBLICATION p FOR ALL TABLES", "publication p"),
    ("ALTER TABLE plays REPLICA IDENTITY FULL", "replica identity"),
    ("ALTER TABLE plays ADD CONSTRAINT c CHECK (id > 0) NOT VALID", "constraint c is not valid"),
    ("ALTER TABLE plays ADD CONSTRAINT c CHECK (id > 0) NO INHERIT", "constraint c is NO INHERIT"),
    (
        "CREATE TRIGGER t AFTER UPDATE ON plays REFERENCING NEW TABLE AS n FOR EACH ROW "
        "EXECUTE FUNCTION heard()",
        "trigger t",
    ),
    ("ALTER TABLE plays SET UNLOGGED", "ordinary, logged"),
    ("DROP TABLE plays", "no table"),
    ("ALTER TABLE plays RENAME at TO heard_at", "no column at"),
    (
        'ALTER TABLE plays DROP CONSTRAINT "The key", DROP CONSTRAINT once; '
        'DROP INDEX "Odd "" one"; ALTER TABLE plays ALTER at DROP DEFAULT, '
        "ALTER at TYPE text",
        "no column at of a type",
    ),
]


@pytest.mark.parametrize(("obstacle", "named"), REFUSED, ids=[one[1] for one in REFUSED])
def test_what_it_could_not_keep_is_refused_with_its_reason(
    plays: psycopg.Connection,
    empty_database_url: URL,
    apply: Apply,
    schema_of: SchemaOf,
    obstacle: str,
    named: str,
) -> None:
    plays.execute(obstacle.encode())
    before = schema_of(empty_database_url)
    with pytest.raises(MigrationError) as refused:
        apply(partition)
    assert named in refused.value.cause
    assert schema_of(empty_database_url) == before


def test_what_is_no_interval_of_the_column_is_refused(
    plays: psycopg.Connection, apply: Apply
) -> None:
    plays.execute("CREATE TABLE days (day date NOT NULL, id int NOT NULL)")
    wrong: list[tuple[str, str, str | int]] = [
        ("plays", "at", 5),
        ("plays", "at", "-1 day"),
        ("plays", "at", "1 month 3 days"),
        ("plays", "at", "often"),
        ("days", "day", "6 hours"),
        ("days", "id", "1 month"),
        ("days", "id", 0),
    ]
    for table, column, interval in wrong:

        def step(op: Any, table: str = table, column: str = column, by: Any = interval) -> None:
            op.partition_table_online(table, column, interval=by)

        with pytest.raises(MigrationError):
            apply(step)
    assert parts(plays) == []


@pytest.mark.quick
def test_rows_beyond_the_first_partition_are_named(plays: psycopg.Connection, apply: Apply) -> None:
    plays.execute("INSERT INTO plays (listener, at) VALUES (1, '2999-05-01'), (1, '2999-06-01')")
    with pytest.raises(MigrationError, match=r"2 rows of public\.plays") as refused:
        apply(partition)
    assert "2999-05-01 00:00:00+00 to 2999-06-01 00:00:00+00" in refused.value.cause
    assert checks(plays) == 0
    apply(lambda op: op.partition_table_online("plays", "at", ahead=1, starting="2999-07-01"))
    assert parts(plays) == [
        (
            "plays_from_29990701",
            "FOR VALUES FROM ('2999-07-01 00:00:00+00') TO ('2999-08-01 00:00:00+00')",
        ),
        ("plays_until_29990701", "FOR VALUES FROM (MINVALUE) TO ('2999-07-01 00:00:00+00')"),
    ]


@pytest.mark.parametrize("key", ["id", "(id + 0)"])
def test_a_table_that_somebody_else_partitioned_is_left_alone(
    database: psycopg.Connection, apply: Apply, key: str
) -> None:
    database.execute(
        f"CREATE TABLE plays (at timestamptz, id int) PARTITION BY RANGE ({key})".encode()
    )
    database.execute("CREATE TABLE q PARTITION OF plays FOR VALUES FROM (9) TO (11)")
    database.execute("CREATE TABLE p PARTITION OF plays FOR VALUES FROM (MINVALUE) TO (9)")
    for step in (partition, unpartition, lambda op: op.add_partitions("plays")):
        with pytest.raises(MigrationError):
            apply(step)
    assert [name for name, _ in parts(database)] == ["p", "q"]


@pytest.mark.parametrize("starting", ["infinity", "2001-01-01"])
def test_a_first_partition_that_ends_never_or_long_ago_is_refused(
    plays: psycopg.Connection, apply: Apply, starting: str
) -> None:
    with pytest.raises(MigrationError, match="would end at") as refused:
        apply(lambda op: op.partition_table_online("plays", "at", starting=starting))
    assert "starting" in refused.value.cure


@pytest.mark.quick
def test_partitions_that_would_never_lie_ahead_are_refused(
    plays: psycopg.Connection, apply: Apply
) -> None:
    for step in (
        lambda op: op.partition_table_online("plays", "at", ahead=0),
        lambda op: op.add_partitions("plays", 0),
    ):
        with pytest.raises(MigrationError, match="0 partitions ahead"):
            apply(step)


def test_what_was_not_announced_is_not_exchanged(plays: psycopg.Connection) -> None:
    table = Table("plays", None, "at", "1 month", 3)
    for block in (table.validate, table.swap):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="dropped the CHECK"):
            plays.execute(block(1).encode())


def test_a_name_that_is_taken_is_named_and_nothing_is_left(
    plays: psycopg.Connection, empty_database_url: URL, apply: Apply, schema_of: SchemaOf
) -> None:
    plays.execute("CREATE TABLE plays_until_29990701 ()")
    before = schema_of(empty_database_url)
    with pytest.raises(MigrationError, match="plays_until_29990701"):
        apply(lambda op: op.partition_table_online("plays", "at", starting="2999-07-01"))
    assert schema_of(empty_database_url) == before
