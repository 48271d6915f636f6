"""`op.add_foreign_key_online` and its reverse."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import render_python_code
from alembic.operations.ops import UpgradeOps
from psycopg.errors import ForeignKeyViolation, UndefinedTable
from sqlalchemy import URL

from pgmodern.errors import MigrationError
from pgmodern.quoting import quoted
from tests.waiting import until_found

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]
SchemaOf = Callable[[URL], list[str]]

OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"ondelete": "cascade", "onupdate": "SET NULL"}, "ON DELETE CASCADE ON UPDATE SET NULL"),
    ({"ondelete": "RESTRICT", "onupdate": "NO ACTION"}, "ON DELETE RESTRICT"),
    ({"ondelete": "set null (artist)"}, "ON DELETE SET NULL (artist)"),
    ({"ondelete": "SET DEFAULT"}, "ON DELETE SET DEFAULT"),
    ({"deferrable": True}, "DEFERRABLE"),
    ({"deferrable": False, "initially": "immediate"}, "NOT DEFERRABLE"),
    ({"deferrable": True, "initially": "deferred"}, "DEFERRABLE INITIALLY DEFERRED"),
    ({"match": "FULL"}, "MATCH FULL"),
    ({"match": "simple"}, ""),
]


def add(*tables: str, name: str = "fk", **options: Any) -> Step:
    """Return the step that adds the foreign key."""
    source, referent = tables or ("tracks", "artists")
    return lambda op: op.add_foreign_key_online(
        name, source, referent, ["artist", "Country"], ["id", "the country"], **options
    )


def drop(table: str = "tracks", **options: Any) -> Step:
    """Return the step that drops it."""
    return lambda op: op.drop_constraint_online("fk", table, **options)


def definition(options: str = "", referent: str = "artists") -> str:
    """Return the foreign key in SQL."""
    return (
        f'CONSTRAINT fk FOREIGN KEY (artist, "Country") REFERENCES {referent} (id, "the country") '
        + options
    )


def keys(database: psycopg.Connection, table: str = "tracks") -> list[Any]:
    """Return the oid, definition and validity of a table's foreign keys."""
    return database.execute(
        "SELECT oid, pg_get_constraintdef(oid), convalidated FROM pg_constraint "
        "WHERE conrelid = to_regclass(%s) AND contype = 'f' AND conname = 'fk'",
        [table],
    ).fetchall()


@pytest.fixture(autouse=True)
def tables(database: psycopg.Connection) -> None:
    """Artists, and tracks that all have one."""
    database.execute(
        'CREATE TABLE artists (id int, "the country" text, artist int, '
        'PRIMARY KEY (id, "the country"))'
    )
    database.execute(
        'CREATE TABLE tracks (id int PRIMARY KEY, artist int, "Country" text, plays int)'
    )
    fill(database)


def fill(database: psycopg.Connection) -> None:
    """Write an artist with tracks, and a track without one."""
    database.execute("INSERT INTO artists SELECT i, 'SE' FROM generate_series(1, 50) AS i")
    database.execute("INSERT INTO tracks SELECT i, 1 + i % 50, 'SE' FROM generate_series(1, 300) i")
    database.execute("INSERT INTO tracks VALUES (0, NULL, NULL)")


@pytest.mark.parametrize(("options", "clause"), OPTIONS, ids=[str(o) for o, _ in OPTIONS])
def test_it_is_the_one_of_plain_ddl(
    empty_database_url: URL,
    database: psycopg.Connection,
    schema_of: SchemaOf,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    options: dict[str, Any],
    clause: str,
) -> None:
    before = schema_of(empty_database_url)
    database.execute(f"ALTER TABLE tracks ADD {definition(clause)}".encode())
    after = schema_of(empty_database_url)
    apply(add(**options))
    assert schema_of(empty_database_url) == after
    there = keys(database)
    apply(add(**options))
    assert keys(database) == there
    apply(drop())
    assert schema_of(empty_database_url) == before
    for step, expected in ((add(**options), after), (add(**options), after), (drop(), before)):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert schema_of(empty_database_url) == expected


@pytest.mark.parametrize(
    "other",
    [
        definition("ON DELETE CASCADE"),
        definition("DEFERRABLE"),
        definition("MATCH FULL"),
        definition(referent="others"),
        'CONSTRAINT fk FOREIGN KEY (artist, "Country") REFERENCES artists (artist, "the country")',
        "CONSTRAINT fk CHECK (plays > 0)",
    ],
)
def test_another_of_that_name_is_refused_and_both_are_shown(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    other: str,
) -> None:
    database.execute('ALTER TABLE artists ADD UNIQUE (artist, "the country")')
    database.execute('CREATE TABLE others (id int, "the country" text, UNIQUE (id, "the country"))')
    database.execute(f"ALTER TABLE tracks ADD {other} NOT VALID".encode())
    before = keys(database)
    ours = 'not FOREIGN KEY (artist, "Country") REFERENCES artists(id, "the country").'
    with pytest.raises(MigrationError) as raised:
        apply(add())
    assert ours in str(raised.value)
    assert psql(empty_database_url, script(add())).returncode != 0
    assert keys(database) == before


@pytest.mark.quick
def test_orphans_are_named_and_new_ones_are_refused(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("UPDATE tracks SET artist = 99 WHERE id = 9")
    database.execute("""UPDATE tracks SET "Country" = 'it''s' WHERE id = 11""")
    with pytest.raises(MigrationError, match=r" in 2 row\(s\): ") as raised:
        apply(add())
    assert """id = '9' with ("artist", "Country") = ('99', 'SE')""" in str(raised.value)
    assert """id = '11' with ("artist", "Country") = ('12', 'it''s')""" in str(raised.value)
    with pytest.raises(ForeignKeyViolation):
        database.execute("INSERT INTO tracks VALUES (-1, 98, 'SE')")
    database.execute("DELETE FROM tracks WHERE id IN (9, 11)")
    apply(add())
    ((_, _, valid),) = keys(database)
    assert valid


@pytest.mark.parametrize(("match", "violates"), [("SIMPLE", False), ("FULL", True)])
def test_a_reference_that_is_partly_null_violates_a_full_match_only(
    database: psycopg.Connection, apply: Apply, match: str, violates: bool
) -> None:
    database.execute("UPDATE tracks SET artist = NULL WHERE id = 5")
    if violates:
        with pytest.raises(MigrationError, match=r"1 row\(s\): id = '5' with .* = \(NULL, 'SE'\)"):
            apply(add(match=match))
    else:
        apply(add(match=match))
    ((_, _, valid),) = keys(database)
    assert valid is not violates


def test_a_referent_that_is_not_there_leaves_nothing(
    database: psycopg.Connection, apply: Apply
) -> None:
    with pytest.raises(UndefinedTable):
        apply(add("tracks", "nothing"))
    assert keys(database) == []


def test_it_is_validated_while_others_read_and_write_both_tables(
    empty_database_url: URL, database: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    """The comparison of the keys waits, so that the validation is under way meanwhile."""
    make_slow_tables(database)
    gate = connect(empty_database_url)
    gate.execute("SELECT pg_advisory_lock(4711)")
    database.execute("SET lock_timeout = '2s'")

    def step(op: Any) -> None:
        op.add_foreign_key_online("fk", "slow_tracks", "slow_artists", ["artist"], ["id"])

    with ThreadPoolExecutor() as pool:
        adding = pool.submit(apply, step)
        try:
            wait_for_the_validation(database)
            database.execute("INSERT INTO slow_tracks (artist) VALUES (NULL)")
            database.execute("UPDATE slow_tracks SET plays = 1 WHERE artist IS NULL")
            database.execute("UPDATE slow_artists SET plays = 1")
            database.execute("SELECT FROM slow_tracks, slow_artists")
            assert not adding.done()
        finally:
            gate.execute("SELECT pg_advisory_unlock(4711)")
        adding.result()
    ((_, _, valid),) = keys(database, "slow_tracks")
    assert valid


def make_slow_tables(database: psycopg.Connection) -> None:
    """Make two tables whose keys are only compared while nobody holds the advisory lock 4711."""
    waiting = (
        "CREATE FUNCTION {}(int, int) RETURNS {} IMMUTABLE LANGUAGE plpgsql AS $$ "
        "BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN {}; END $$"
    )
    database.execute(waiting.format("compare", "int", "btint4cmp($1, $2)").encode())
    members = ["FUNCTION 1 compare(int, int)"]
    for number, operator in enumerate(("<", "<=", "=", ">=", ">"), 1):
        name = f"compare_{number}"
        database.execute(waiting.format(name, "boolean", f"$1 {operator} $2").encode())
        arguments = f"LEFTARG = int, RIGHTARG = int, FUNCTION = {name}"
        database.execute(f"CREATE OPERATOR #{operator}# ({arguments})".encode())
        members.append(f"OPERATOR {number} #{operator}#")
    database.execute(
        f"CREATE OPERATOR CLASS slow FOR TYPE int USING btree AS {', '.join(members)}".encode()
    )
    database.execute("CREATE TABLE slow_artists (id int NOT NULL, plays int)")
    database.execute("CREATE UNIQUE INDEX ON slow_artists (id slow)")
    database.execute("CREATE TABLE slow_tracks (artist int, plays int)")
    database.execute("INSERT INTO slow_artists VALUES (1)")
    database.execute("INSERT INTO slow_tracks VALUES (1)")


def wait_for_the_validation(database: psycopg.Connection) -> None:
    """Return when a foreign key is being validated."""
    until_found(
        database,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event = 'advisory' AND query LIKE %s",
        "%VALIDATE%",
    )


@pytest.mark.parametrize("referent", ["artists", "parts_of_artists", "parted"])
def test_a_partitioned_table_has_it_whole_and_without_a_scan_under_locks(
    empty_database_url: URL,
    database: psycopg.Connection,
    schema_of: SchemaOf,
    apply: Apply,
    apply_killed: Callable[[Step], Iterator[int]],
    script: Callable[[Step], str],
    psql: Psql,
    referent: str,
) -> None:
    partition(database)
    before = schema_of(empty_database_url)
    database.execute(f"ALTER TABLE parted ADD {definition(referent=referent)}".encode())
    after, there = schema_of(empty_database_url), everything(database)
    apply(drop("parted"))
    step = add("parted", referent)
    database.execute("UPDATE parted SET artist = 99 WHERE id = 25")
    with pytest.raises(MigrationError, match=r"parted_3.* id = '25' with"):
        apply(step)
    apply(drop("parted"))
    assert schema_of(empty_database_url) == before
    database.execute("UPDATE parted SET artist = 1 WHERE id = 25")
    killed = 0
    for killed in apply_killed(step):
        assert schema_of(empty_database_url) == after, f"killed before statement {killed}"
        assert everything(database) == there, f"killed before statement {killed}"
        apply(drop("parted"))
        assert schema_of(empty_database_url) == before
    assert killed > 10
    for each, expected in ((step, after), (step, after), (drop("parted"), before)):
        done = psql(empty_database_url, script(each))
        assert done.returncode == 0, done.stderr
        assert schema_of(empty_database_url) == expected
    apply(step)
    apply(step)
    assert everything(database) == there


def partition(database: psycopg.Connection) -> None:
    """Make `parted`, with partitions of two levels, which references and can be referenced."""
    database.execute(
        'CREATE TABLE parts_of_artists (id int, "the country" text, '
        'PRIMARY KEY (id, "the country")) PARTITION BY LIST (id)'
    )
    database.execute("CREATE TABLE artists_d PARTITION OF parts_of_artists DEFAULT")
    database.execute("INSERT INTO parts_of_artists VALUES (1, 'SE')")
    database.execute(
        'CREATE TABLE parted (id int, artist int, "Country" text, "the country" text, '
        'UNIQUE (id, "the country")) PARTITION BY RANGE (id)'
    )
    database.execute("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)")
    database.execute(
        "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (30) "
        "PARTITION BY RANGE (id)"
    )
    database.execute("CREATE TABLE parted_3 PARTITION OF parted_2 FOR VALUES FROM (20) TO (30)")
    database.execute("ALTER TABLE parted ADD PRIMARY KEY (id)")
    database.execute("INSERT INTO parted VALUES (1, 1, 'SE', 'SE'), (25, 1, 'SE', 'SE')")


def everything(database: psycopg.Connection) -> list[Any]:
    """Return all that the catalogue has of the foreign key and its triggers, but for oids."""
    return database.execute(
        "SELECT conrelid::regclass::text, confrelid::regclass::text, convalidated, conislocal, "
        "coninhcount, conparentid <> 0, pg_get_constraintdef(c.oid), (SELECT count(*) FROM "
        "pg_trigger WHERE tgconstraint = c.oid) FROM pg_constraint AS c WHERE contype = 'f' "
        "ORDER BY 1, 2, 3, 4, 5, 6, 7"
    ).fetchall()


@pytest.mark.quick
def test_partitions_that_have_it_are_not_scanned_again(
    database: psycopg.Connection, apply: Apply
) -> None:
    """A row that came past the check stays unseen."""
    partition(database)
    for table in ("parted_1", "parted_3"):
        database.execute(f"ALTER TABLE {table} ADD {definition()}".encode())
    with database.transaction():
        database.execute("SET LOCAL session_replication_role = replica")
        database.execute("UPDATE parted SET artist = 99")
    apply(add("parted", "artists"))
    ((_, _, valid),) = keys(database, "parted")
    assert valid


def test_a_partition_that_came_with_its_own_gets_no_second(
    database: psycopg.Connection, apply: Apply
) -> None:
    partition(database)
    apply(add("parted", "artists"))
    database.execute("CREATE TABLE parted_9 (LIKE parted)")
    database.execute(f"ALTER TABLE parted_9 ADD {definition().replace('fk', 'own', 1)}".encode())
    database.execute("ALTER TABLE parted ATTACH PARTITION parted_9 FOR VALUES FROM (90) TO (99)")
    there = everything(database)
    apply(add("parted", "artists"))
    assert everything(database) == there


@pytest.mark.parametrize(
    ("source_schema", "referent_schema"), [(None, "Other %s"), ("Other %s", None), ("x", "Other:")]
)
def test_odd_names_and_other_schemas(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    source_schema: str | None,
    referent_schema: str | None,
) -> None:
    for schema in filter(None, (source_schema, referent_schema)):
        database.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    table, column, name = 'Odd "%s: {t}', "the %s \"Key' :x", "n" * 60 + "Ü"
    source, referent = quoted(table, source_schema), quoted("referent", referent_schema)
    database.execute(f"CREATE TABLE {referent} (referent int PRIMARY KEY)".encode())
    database.execute(f"CREATE TABLE {source} (id int, {quoted(column)} int)".encode())
    database.execute(f"INSERT INTO {source} VALUES (1, 5)".encode())

    def step(op: Any) -> None:
        op.add_foreign_key_online(
            name,
            table,
            "referent",
            [column],
            ["referent"],
            source_schema=source_schema,
            referent_schema=referent_schema,
        )

    with pytest.raises(MigrationError) as raised:
        apply(step)
    assert f"with {quoted(column)} = '5'" in str(raised.value)
    database.execute(f"INSERT INTO {referent} VALUES (5)".encode())
    apply(step)
    apply(step)
    assert valid_keys(database, source) == [(True,)]
    undo = lambda op: op.drop_constraint_online(name, table, schema=source_schema)  # noqa: E731
    apply(undo)
    assert valid_keys(database, source) == []
    for each, expected in ((step, [(True,)]), (step, [(True,)]), (undo, [])):
        done = psql(empty_database_url, script(each))
        assert done.returncode == 0, done.stderr
        assert valid_keys(database, source) == expected


def valid_keys(database: psycopg.Connection, source: str) -> list[Any]:
    """Return whether the foreign keys of a table are valid."""
    return database.execute(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'f'",
        [source],
    ).fetchall()


def test_a_table_may_reference_itself(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("ALTER TABLE tracks ADD parent int")
    database.execute("UPDATE tracks SET parent = id - 1 WHERE id > 0")
    database.execute("UPDATE tracks SET parent = 999 WHERE id = 3")

    def step(op: Any) -> None:
        op.add_foreign_key_online("fk", "tracks", "tracks", ["parent"], ["id"])

    with pytest.raises(MigrationError, match=r" 1 row\(s\): id = '3' with \"parent\" = '999'"):
        apply(step)
    database.execute("UPDATE tracks SET parent = 3 WHERE id = 3")
    apply(step)
    ((_, _, valid),) = keys(database)
    assert valid


def test_each_is_the_reverse_of_the_other_and_both_are_rendered(
    database: psycopg.Connection, apply: Apply
) -> None:
    from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey

    key = ForeignKey(
        "fk", "tracks", "artists", ["artist", "Country"], ["id", "the country"], deferrable=True
    )
    forward = AddForeignKeyOnline(key)
    apply(lambda op: op.invoke(forward))
    assert len(keys(database)) == 1
    apply(lambda op: op.invoke(forward.reverse()))
    assert keys(database) == []
    assert forward.reverse().reverse() is forward
    assert (
        "op.add_foreign_key_online('fk', 'tracks', 'artists', ['artist', 'Country'], "
        "['id', 'the country'], deferrable=True)\n"
    ) in render_python_code(UpgradeOps([forward]))
