"""`op.change_column_type_online`: what becomes of the values, and of all that belongs to them."""

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, String

from pgmodern.errors import MigrationError
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline, DropReplacedColumn
from tests.operations.change_column_type.songs import (
    BACK,
    OLD,
    THERE,
    VIBE,
    WRONG,
    Apply,
    Connect,
    Dump,
    Psql,
    Step,
    change,
    columns,
    drop,
    lines,
)


@pytest.mark.vector
def test_arrays_become_vectors(vibes: psycopg.Connection, apply: Apply) -> None:
    apply(VIBE)
    assert columns(vibes)["vibe"] == "vector(8)"
    assert vibes.execute(WRONG.format(old=OLD).encode()).fetchone() == (0,)
    found = vibes.execute("SELECT count(vibe), count(*) FROM songs").fetchone()
    assert found == (960, 1200)


@pytest.mark.vector
def test_applied_twice_it_changes_nothing(
    empty_database_url: URL, vibes: psycopg.Connection, apply: Apply, dump: Dump
) -> None:
    apply(VIBE)
    rows = "SELECT md5(string_agg(xmin || songs::text, ',' ORDER BY id)) FROM songs"
    before = dump(empty_database_url), vibes.execute(rows).fetchone()
    apply(VIBE)
    assert (dump(empty_database_url), vibes.execute(rows).fetchone()) == before


def test_all_that_belongs_to_the_column_is_carried_over(
    empty_database_url: URL, rich: psycopg.Connection, apply: Apply, dump: Dump
) -> None:
    before = dump(empty_database_url)
    apply(change("plays", "bigint", None, "plays::int"))
    apply(drop("plays"))
    assert "plays integer" in before
    assert lines(dump(empty_database_url)) == lines(before.replace("plays integer", "plays bigint"))
    apply(change("plays", "integer", None, "plays"))
    apply(drop("plays"))
    assert lines(dump(empty_database_url)) == lines(before)


def test_each_index_stays_in_its_tablespace(
    database: psycopg.Connection, tablespace: str, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ADD plays int")
    database.execute(
        f"CREATE INDEX there ON songs (plays) TABLESPACE {tablespace};"
        f"CREATE INDEX partial ON songs (plays) TABLESPACE {tablespace} WHERE plays > 5;"
        "CREATE INDEX here ON songs ((plays + 1)) WHERE plays > 5;"
        "ALTER TABLE songs ADD CONSTRAINT once UNIQUE (plays) "
        f"USING INDEX TABLESPACE {tablespace}".encode()
    )
    lies = "SELECT indexname, tablespace, indexdef FROM pg_indexes WHERE tablename = 'songs'"
    before = sorted(database.execute(lies.encode()))
    assert [space for _, space, _ in before].count(tablespace) == 3

    def elsewhere(op: Any) -> None:
        op.execute(f"SET default_tablespace = {tablespace}; SET temp_tablespaces = {tablespace}")
        change("plays", "bigint")(op)

    apply(elsewhere)
    assert columns(database)["plays"] == "bigint"
    assert sorted(database.execute(lies.encode())) == before


def test_collation_and_storage_are_carried_over(
    empty_database_url: URL, database: psycopg.Connection, apply: Apply, dump: Dump
) -> None:
    database.execute(
        'ALTER TABLE songs ADD genre varchar(20) COMPRESSION pglz COLLATE "C", '
        "ALTER genre SET STORAGE MAIN"
    )
    database.execute("CREATE INDEX by_genre ON songs (genre)")
    before = dump(empty_database_url)
    apply(change("genre", "text"))
    apply(drop("genre"))
    assert "genre character varying(20) COLLATE" in before
    wanted = before.replace("genre character varying(20)", "genre text")
    assert lines(dump(empty_database_url)) == lines(wanted)
    apply(change("genre", 'varchar(9) COLLATE "POSIX"'))
    assert 'genre character varying(9) COLLATE pg_catalog."POSIX"' in dump(empty_database_url)


@pytest.mark.vector
def test_a_vector_index_of_an_expression_becomes_one_of_the_column(
    vibes: psycopg.Connection, apply: Apply
) -> None:
    vibes.execute(
        "CREATE INDEX near ON songs USING hnsw ((vibe::vector(8)) vector_l2_ops) WITH (m = 8)"
    )
    apply(VIBE)
    vibes.execute("SET enable_seqscan = off")
    nearest = "SELECT id FROM songs ORDER BY vibe <-> '[1,2,3,4,5,6,7,8]' LIMIT 1"
    plan = vibes.execute(f"EXPLAIN {nearest}".encode()).fetchall()
    assert "Index Scan using near" in plan[1][0]
    assert vibes.execute(nearest.encode()).fetchone() == (7,)


@pytest.mark.parametrize("length", ["varchar(3)", "char(3)"])
def test_nothing_is_cut_off_silently(
    database: psycopg.Connection, apply: Apply, length: str
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('abc'), ('abcd')")
    with pytest.raises(MigrationError, match=r"value too long.*Keys: 2\."):
        apply(change("title", length))


@pytest.mark.quick
def test_a_type_may_be_one_of_sqlalchemy(database: psycopg.Connection, apply: Apply) -> None:
    apply(lambda op: op.change_column_type_online("songs", "title", String(30)))
    assert columns(database)["title"] == "character varying(30)"


def test_an_expression_may_make_something_of_null(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ADD plays int")
    database.execute("INSERT INTO songs (plays) SELECT NULL FROM generate_series(1, 600)")
    apply(change("plays", "bigint", "coalesce(plays, 5)", "plays::int"))
    database.execute("INSERT INTO songs (plays) VALUES (7)")
    found = database.execute("SELECT plays, count(*) FROM songs GROUP BY plays ORDER BY plays")
    assert found.fetchall() == [(5, 600), (7, 1)]


def test_an_owner_who_is_no_superuser_may_and_a_writer_needs_no_more_than_before(
    empty_database_url: URL, rich: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    role = f"pgmodern_{uuid.uuid4().hex}"
    rich.execute(f"CREATE ROLE {role}; CREATE ROLE {role}_writer".encode())
    try:
        for table in ("songs", "labels"):
            rich.execute(f"ALTER TABLE {table} OWNER TO {role}".encode())
        rich.execute(f"GRANT CREATE ON SCHEMA public TO {role}".encode())
        rich.execute(f"GRANT INSERT (plays), SELECT (plays) ON songs TO {role}_writer".encode())
        writer = connect(empty_database_url)
        writer.execute(f"SET ROLE {role}_writer".encode())
        writer.execute("SET search_path = ''")
        insert = "INSERT INTO public.songs (plays) VALUES (%s)"
        apply(lambda op: (op.execute(f"SET ROLE {role}"), THERE(op)))
        writer.execute(insert, [5])
        assert writer.execute("SELECT max(plays) FROM public.songs").fetchone() == (1200,)
        apply(lambda op: (op.execute(f"SET ROLE {role}"), BACK(op)))
        writer.execute(insert, [6])
    finally:
        rich.execute(f"DROP OWNED BY {role}, {role}_writer CASCADE".encode())
        rich.execute(f"DROP ROLE {role}, {role}_writer".encode())


def test_an_owner_who_may_make_no_temporary_table_is_told_so_before_anything_is_done(
    empty_database_url: URL, owner: str, apply: Apply, dump: Dump
) -> None:
    before = dump(empty_database_url)
    with pytest.raises(MigrationError, match="GRANT TEMPORARY ON DATABASE"):
        apply(lambda op: (op.execute(f"SET ROLE {owner}"), change("title", "varchar")(op)))
    assert dump(empty_database_url) == before


@pytest.mark.vector
def test_the_trigger_does_not_go_by_the_writer_s_settings(
    empty_database_url: URL, vibes: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    vibes.execute("UPDATE songs SET vibe = '{1}' WHERE id = 7")
    with pytest.raises(MigrationError, match="Keys: 7"):
        apply(VIBE)
    writer = connect(empty_database_url)
    writer.execute("SET search_path = ''")
    writer.execute("INSERT INTO public.songs (id, vibe) VALUES (8000, '{1,2,3,4,5,6,7,8}')")
    filled = vibes.execute("SELECT vibe__new_85cbbf05::text FROM songs WHERE id = 8000")
    assert filled.fetchone() == ("[1,2,3,4,5,6,7,8]",)
    vibes.execute("ALTER TABLE songs ADD at timestamp")
    there = change("at", "timestamptz", None, "at::timestamp")
    apply(lambda op: (op.execute("SET timezone = 'UTC'"), there(op)))
    writer.execute("SET timezone = 'Asia/Tokyo'")
    writer.execute("UPDATE public.songs SET at = '2020-01-01 00:00+00' WHERE id = 8000")
    back = change("at", "timestamp", "at::timestamp", "at")
    apply(lambda op: (op.execute("SET timezone = 'Asia/Tokyo'"), back(op)))
    kept = vibes.execute("SELECT at::text FROM songs WHERE id = 8000")
    assert kept.fetchone() == ("2020-01-01 00:00:00",)


def test_a_time_is_converted_alike_whoever_writes(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ADD at timestamp DEFAULT timezone('utc', now())")
    database.execute("ALTER TABLE songs ADD since timestamp DEFAULT '2020-01-01'")
    database.execute("INSERT INTO songs (at) VALUES ('2024-01-01 12:00')")
    database.execute("SET timezone = 'Asia/Tokyo'")
    utc = change("since", "timestamptz", "since AT TIME ZONE 'UTC'", "since AT TIME ZONE 'UTC'")
    with pytest.raises(MigrationError, match="its default would become another value"):
        apply(lambda op: (op.execute("SET timezone = 'Asia/Tokyo'"), utc(op)))
    database.execute("ALTER TABLE songs ALTER since DROP DEFAULT")
    apply(lambda op: (op.execute("SET timezone = 'Asia/Tokyo'"), utc(op)))
    database.execute("UPDATE songs SET since = '2020-01-01 00:00+00'")
    found = database.execute("SELECT since::text FROM songs").fetchone()
    assert found == ("2020-01-01 09:00:00+09",)
    apply(change("since", "timestamp", "since AT TIME ZONE 'UTC'", "since"))
    found = database.execute("SELECT since::text FROM songs").fetchone()
    assert found == ("2020-01-01 00:00:00",)


@pytest.mark.parametrize("made", ["serial", "int GENERATED ALWAYS AS IDENTITY (INCREMENT 5)"])
def test_a_primary_key_goes_on_counting(
    empty_database_url: URL, database: psycopg.Connection, apply: Apply, dump: Dump, made: str
) -> None:
    database.execute("DROP TABLE songs")
    database.execute(f"CREATE TABLE songs (id {made} PRIMARY KEY, title text)".encode())
    database.execute("INSERT INTO songs (title) SELECT 'a' FROM generate_series(1, 600)")
    before = dump(empty_database_url)
    last = database.execute("SELECT max(id) FROM songs").fetchone()
    step = 5 if "5" in made else 1
    apply(
        lambda op: op.change_column_type_online(
            "songs", "id", "bigint", reverse_using="id::int", key_type="int"
        )
    )
    assert last is not None
    for number in (1, 2):
        (found,) = database.execute("INSERT INTO songs (title) VALUES ('b') RETURNING id")
        assert found == (last[0] + step * number,)
    apply(drop("id"))
    wanted = before.replace("id integer", "id bigint").replace("    AS integer\n", "")
    assert lines(dump(empty_database_url)) == lines(wanted)


def test_odd_names_in_another_schema(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    dump: Dump,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    table, column, schema = "Töne: \"%s' {x}", "é" * 31, 'The "other" :one'
    odd = 'a "$pgmodern" :x %I {new}'
    names = [sql.Identifier(name) for name in (schema, table, column, odd)]
    database.execute(sql.SQL("CREATE SCHEMA {}").format(names[0]))
    database.execute(
        sql.SQL(
            "CREATE TABLE {0}.{1} ({3} int PRIMARY KEY, {2} int NOT NULL CHECK ({2} > 0), "
            "more int); CREATE INDEX {3} ON {0}.{1} (({2} + 1)) WHERE {2} < 50; "
            "INSERT INTO {0}.{1} SELECT i, i FROM generate_series(1, 600) AS i"
        ).format(*names)
    )

    def step(op: Any) -> None:
        op.change_column_type_online(
            table,
            column,
            "bigint",
            using=f'"{column}" + 0',
            reverse_using=f'"{column}"::int',
            key=odd,
            key_type="int",
            schema=schema,
        )

    def back(op: Any) -> None:
        op.change_column_type_online(
            table,
            column,
            "int",
            using=f'"{column}"::int',
            reverse_using=f'"{column}"::bigint',
            key=odd,
            key_type="int",
            schema=schema,
        )

    before = dump(empty_database_url)
    apply(step)
    there = dump(empty_database_url)
    assert f'"{column}" bigint' in there or f"{column} bigint" in there
    apply(back)
    assert lines(dump(empty_database_url)) == lines(before)
    for _ in range(2):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
        assert lines(dump(empty_database_url)) == lines(there)
    apply(lambda op: op.drop_replaced_column(table, column, schema=schema))
    wanted = before.replace(f"{column} integer", f"{column} bigint")
    wanted = wanted.replace(f'{column}" integer', f'{column}" bigint')
    assert lines(dump(empty_database_url)) == lines(wanted)


@pytest.mark.quick
def test_it_is_rendered(database: psycopg.Connection) -> None:
    from alembic.autogenerate import render_python_code
    from alembic.operations.ops import UpgradeOps

    operations = UpgradeOps(
        [
            ChangeColumnTypeOnline("songs", "id", "bigint", reverse_using="id::int", schema="s"),
            DropReplacedColumn("songs", "it's"),
        ]
    )
    code = render_python_code(operations)
    assert "op.change_column_type_online('songs', 'id', 'bigint', reverse_using='id::int', " in code
    assert "schema='s')" in code
    assert """op.drop_replaced_column('songs', "it's")""" in code
