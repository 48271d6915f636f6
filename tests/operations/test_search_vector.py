"""Search vectors, added, replaced and dropped: a tsvector that a trigger keeps."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from pgmodern.errors import MigrationError
from pgmodern.operations.search_vector import AddSearchVectorOnline, ReplaceSearchVectorOnline
from pgmodern.quoting import quoted

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Connect = Callable[[URL], psycopg.Connection]
Proof = Callable[..., None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

FILL = (
    "INSERT INTO songs (title, album) SELECT 'Été ' || i, 'Nº' FROM generate_series(1, 1200) AS i"
)
FEW = "INSERT INTO songs (title, album) VALUES ('Été', 'Nº'), (NULL, 'Nº')"
WRONG = """
    SELECT count(*) FROM songs WHERE words IS DISTINCT FROM
    setweight(to_tsvector('simple', coalesce(title, '')), 'A')
    || setweight(to_tsvector('simple', coalesce(album, '')), 'B')
"""


def add(op: Any) -> None:
    """The step that adds the search vector."""
    op.add_search_vector_online(
        "songs", "words", {"title": "A", "album": "B"}, configuration="pg_catalog.simple"
    )


def drop(op: Any) -> None:
    """The step that drops it."""
    op.drop_search_vector_online("songs", "words")


def words(database: psycopg.Connection, song: int) -> str | None:
    """Return the search vector of a song."""
    row = database.execute("SELECT words::text FROM songs WHERE id = %s", [song]).fetchone()
    assert row is not None
    return row[0] if row[0] is None else str(row[0])


def remains(database: psycopg.Connection) -> list[Any]:
    """Return the columns of the table, its triggers, and functions and state of ours."""
    return database.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'songs'::regclass "
        "AND attnum > 0 AND NOT attisdropped "
        "UNION ALL SELECT tgname FROM pg_trigger WHERE tgrelid = 'songs'::regclass "
        "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'pgmodern%'"
    ).fetchall()


def test_rows_that_were_there_are_filled(database: psycopg.Connection, apply: Apply) -> None:
    database.execute(FILL)
    database.execute("INSERT INTO songs (title, album) VALUES (NULL, NULL), ('', 'x')")
    apply(add)
    assert database.execute(WRONG).fetchone() == (0,)
    assert words(database, 7) == "'7':2A 'nº':3B 'été':1A"
    assert words(database, 1201) == ""
    assert words(database, 1202) == "'x':1B"


def test_the_trigger_keeps_what_is_written(database: psycopg.Connection, apply: Apply) -> None:
    apply(add)
    database.execute("INSERT INTO songs (title, album) VALUES ('Waterloo', 'Abba')")
    assert words(database, 1) == "'abba':2B 'waterloo':1A"
    database.execute("UPDATE songs SET album = NULL")
    assert words(database, 1) == "'waterloo':1A"
    database.execute("UPDATE songs SET title = 'Fernando', album = 'Arrival'")
    assert words(database, 1) == "'arrival':2B 'fernando':1A"
    database.execute("INSERT INTO songs (id, title, words) VALUES (2, 'a', 'false'::tsvector)")
    assert words(database, 2) == "'a':1A"
    database.execute(
        "INSERT INTO songs (id, title) VALUES (2, 'b') ON CONFLICT (id) DO UPDATE SET title = 'c'"
    )
    assert words(database, 2) == "'c':1A"
    with database.cursor() as cursor, cursor.copy("COPY songs (id, title) FROM STDIN") as copy:
        copy.write_row((3, "copied"))
    assert words(database, 3) == "'copied':1A"


def test_an_update_of_other_columns_does_not_compute_it_again(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(add)
    database.execute("INSERT INTO songs (title) VALUES ('Waterloo')")
    database.execute("ALTER TABLE songs DISABLE TRIGGER USER")
    database.execute("UPDATE songs SET words = 'kept'::tsvector")
    database.execute("ALTER TABLE songs ENABLE TRIGGER USER")
    database.execute("ALTER TABLE songs ADD plays int")
    database.execute("UPDATE songs SET plays = 1")
    assert words(database, 1) == "'kept'"


def test_a_row_whose_key_changes_is_not_passed_by(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(add)
    database.execute("INSERT INTO songs (title) VALUES ('Waterloo')")
    database.execute("ALTER TABLE songs DISABLE TRIGGER USER")
    database.execute("UPDATE songs SET words = NULL")  # as it is before the backfill comes
    database.execute("ALTER TABLE songs ENABLE TRIGGER USER")
    database.execute("UPDATE songs SET id = 0")  # behind the backfill
    assert words(database, 0) == "'waterloo':1A"


def test_it_works_for_a_writer_whose_search_path_is_empty(
    database: psycopg.Connection, apply: Apply
) -> None:
    def step(op: Any) -> None:
        op.create_extension("unaccent")
        op.create_text_search_configuration("public.simple_unaccent")
        op.add_search_vector_online("songs", "words", {"title": "A"})

    apply(step)
    database.execute("SET search_path = ''")
    database.execute("INSERT INTO public.songs (title) VALUES ('Été')")
    row = database.execute("SELECT words::text FROM public.songs").fetchone()
    assert row == ("'ete':1A",)


@pytest.mark.parametrize("length", [500_000, 2_000_000])
def test_no_text_is_too_long_to_be_written(
    database: psycopg.Connection, apply: Apply, length: int
) -> None:
    long = (
        "INSERT INTO songs (title) SELECT string_agg(to_hex(i), ' ') "
        f"FROM generate_series(1, {length // 6}) AS i"
    )
    database.execute(long.encode())
    apply(add)
    database.execute(long.encode())
    found = database.execute("SELECT count(*) FROM songs WHERE words @@ '1f'").fetchone()
    assert found == (2,)


def test_what_is_there_is_not_computed_twice(database: psycopg.Connection, apply: Apply) -> None:
    database.execute(FILL)
    apply(add)
    versions = "SELECT md5(string_agg(xmin::text, ',' ORDER BY id)) FROM songs"
    before = database.execute(versions).fetchone()
    apply(add)
    assert database.execute(versions).fetchone() == before


def test_it_goes_without_remains_and_comes_again(
    database: psycopg.Connection, apply: Apply
) -> None:
    before = remains(database)
    database.execute(FILL)
    for _ in range(2):
        apply(add)
        assert database.execute(WRONG).fetchone() == (0,)
        apply(drop)
        apply(drop)
        assert remains(database) == before
    database.execute("INSERT INTO songs (title) VALUES ('still writable')")


def test_killed_anywhere_it_is_finished_by_the_next(proof: Proof) -> None:
    proof("add_search_vector_online", add, drop, fill=FILL)


def test_added_killed_dropped_and_added_again_it_holds_every_row(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
) -> None:
    database.execute(FILL)
    database.execute("ALTER TABLE songs ADD words tsvector")
    database.execute("ALTER TABLE songs ADD CONSTRAINT c CHECK (id <= 700 OR words IS NULL)")
    with pytest.raises(Exception, match="violates check constraint"):
        apply(add)
    database.execute("ALTER TABLE songs DROP CONSTRAINT c")
    apply(drop)
    apply(add)
    assert database.execute(WRONG).fetchone() == (0,)


def test_killed_anywhere_dropping_is_finished_by_the_next(proof: Proof) -> None:
    proof("drop_search_vector_online", drop, add, fill=FEW, first=add)


def test_it_gives_way_to_a_transaction_that_reads_the_table(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    reader = connect(empty_database_url)
    reader.execute("SET statement_timeout = '5s'")
    with ThreadPoolExecutor() as pool:
        with database.transaction():
            database.execute("SELECT * FROM songs")
            adding = pool.submit(apply, add)
            blocked(empty_database_url)
            reader.execute("SELECT * FROM songs")
        adding.result()
    assert database.execute(WRONG).fetchone() == (0,)


def test_odd_names_are_quoted(database: psycopg.Connection, apply: Apply) -> None:
    database.execute(
        'CREATE TABLE "My ""songs"": 1%" ("The id" int PRIMARY KEY, "A: ""title""" text)'
    )
    database.execute("""INSERT INTO "My ""songs"": 1%" VALUES (1, 'before')""")

    def step(op: Any) -> None:
        op.add_search_vector_online(
            'My "songs": 1%',
            "Its: words",
            {'A: "title"': "A"},
            configuration="pg_catalog.simple",
            key="The id",
            key_type="int",
        )

    apply(step)
    database.execute("""INSERT INTO "My ""songs"": 1%" VALUES (2, 'after')""")
    found = database.execute("""SELECT "Its: words"::text FROM "My ""songs"": 1%" ORDER BY 1""")
    assert found.fetchall() == [("'after':1A",), ("'before':1A",)]
    apply(lambda op: op.drop_search_vector_online('My "songs": 1%', "Its: words"))
    database.execute("""INSERT INTO "My ""songs"": 1%" VALUES (3, 'still writable')""")


def test_two_search_vectors_do_not_share_a_function(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE TABLE songs_words (id bigint PRIMARY KEY, lyrics text)")

    def step(op: Any) -> None:
        simple = "pg_catalog.simple"
        op.add_search_vector_online("songs", "words_found", {"title": "A"}, configuration=simple)
        lyrics = {"lyrics": "B"}
        op.add_search_vector_online(
            "songs_words", "found", lyrics, configuration=simple, index_name="ix_lyrics"
        )

    apply(step)
    database.execute("INSERT INTO songs (title) VALUES ('Waterloo')")
    database.execute("INSERT INTO songs_words VALUES (1, 'couldn')")
    found = database.execute(
        "SELECT words_found::text, found::text FROM songs, songs_words"
    ).fetchone()
    assert found == ("'waterloo':1A", "'couldn':1B")


def test_long_names_do_not_share_a_function(database: psycopg.Connection, apply: Apply) -> None:
    table = "a" * 60
    database.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, x text, y text)".encode())

    def step(op: Any) -> None:
        for name in ("x", "y"):
            op.add_search_vector_online(
                table, f"words_{name}", {name: "A"}, configuration="pg_catalog.simple"
            )

    apply(step)
    database.execute(f"INSERT INTO {table} VALUES (1, 'one', 'two')".encode())
    found = database.execute(f"SELECT words_x::text, words_y::text FROM {table}".encode())
    assert found.fetchone() == ("'one':1A", "'two':1A")


def test_a_function_of_somebody_else_is_not_replaced(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(
        "CREATE FUNCTION songs_words() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.title := 'theirs'; RETURN NEW; END $$"
    )
    database.execute(
        "CREATE TRIGGER theirs BEFORE INSERT ON songs FOR EACH ROW EXECUTE FUNCTION songs_words()"
    )
    apply(add)
    database.execute("INSERT INTO songs (title) VALUES ('Waterloo')")
    title = database.execute("SELECT title FROM songs").fetchone()
    assert title == ("theirs",)
    apply(drop)
    database.execute("INSERT INTO songs (title) VALUES ('Waterloo')")


def test_the_script_does_the_same(
    empty_database_url: URL,
    database: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    before = remains(database)
    database.execute(FILL)
    for _ in range(2):
        done = psql(empty_database_url, script(add))
        assert done.returncode == 0, done.stderr
        assert database.execute(WRONG).fetchone() == (0,)
    database.execute("INSERT INTO songs (title) VALUES ('Waterloo')")
    assert database.execute(WRONG).fetchone() == (0,)
    done = psql(empty_database_url, script(drop))
    assert done.returncode == 0, done.stderr
    assert remains(database) == before


def test_its_index_is_there_and_valid(database: psycopg.Connection, apply: Apply) -> None:
    for _ in range(2):
        apply(add)
        found = database.execute(
            "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index "
            "WHERE indexrelid = to_regclass('ix_songs_words')"
        ).fetchone()
        assert found == ("CREATE INDEX ix_songs_words ON public.songs USING gin (words)", True)
        apply(drop)


def test_a_table_may_be_in_another_schema(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    database.execute('CREATE SCHEMA "Other one"')
    database.execute('CREATE TABLE "Other one".songs (id bigint PRIMARY KEY, title text)')
    database.execute("""INSERT INTO "Other one".songs VALUES (1, 'before')""")

    def step(op: Any) -> None:
        op.add_search_vector_online(
            "songs",
            "words",
            {"title": "A"},
            configuration="pg_catalog.simple",
            schema="Other one",
        )

    def back(op: Any) -> None:
        op.drop_search_vector_online("songs", "words", schema="Other one")

    def run_script(step: Step) -> None:
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr

    for number, run in enumerate((apply, run_script), start=2):
        run(step)
        database.execute("""INSERT INTO "Other one".songs VALUES (%s, 'after')""", [number])
        found = database.execute('SELECT DISTINCT words::text FROM "Other one".songs ORDER BY 1')
        assert found.fetchall() == [("'after':1A",), ("'before':1A",)]
        run(back)
    assert "words" not in str(remains(database))


@pytest.mark.quick
def test_what_is_rendered_runs(
    database: psycopg.Connection, apply: Apply, render: Callable[[Any], str]
) -> None:
    before = remains(database)
    forward = AddSearchVectorOnline(
        "songs", "words", {"title": "A"}, "pg_catalog.simple", "id", "bigint"
    )
    apply(lambda op: exec(render(forward), {"op": op}))
    with_it = remains(database)
    apply(lambda op: exec(render(forward.reverse()), {"op": op}))
    assert remains(database) == before
    apply(lambda op: op.invoke(forward.reverse().reverse()))
    assert remains(database) == with_it != before


def test_each_is_the_reverse_of_the_other(database: psycopg.Connection, apply: Apply) -> None:
    before = remains(database)
    forward = AddSearchVectorOnline(
        "songs", "words", {"title": "A"}, "pg_catalog.simple", "id", "bigint"
    )
    apply(lambda op: op.invoke(forward))
    assert remains(database) != before
    apply(lambda op: op.invoke(forward.reverse()))
    assert remains(database) == before


def test_other_sources_are_taken_up_by_every_row(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FILL)
    apply(
        lambda op: op.add_search_vector_online(
            "songs", "words", {"title": "A"}, configuration="pg_catalog.simple"
        )
    )
    apply(add)
    assert database.execute(WRONG).fetchone() == (0,)


def replace(op: Any) -> None:
    """The step that has it hold the albums first, and no more than these."""
    op.replace_search_vector_online(
        "songs", "words", {"album": "A"}, configuration="pg_catalog.simple"
    )


def replace_back(op: Any) -> None:
    """The step that undoes `replace`."""
    op.replace_search_vector_online(
        "songs", "words", {"title": "A", "album": "B"}, configuration="pg_catalog.simple"
    )


def keep_column(op: Any) -> None:
    """The step that drops all but the column and its index."""
    op.drop_search_vector_online("songs", "words", keep_column=True)


def add_at_once(op: Any) -> None:
    """The step that adds the search vector to a table without rows."""
    op.add_search_vector(
        "songs", "words", {"title": "A", "album": "B"}, configuration="pg_catalog.simple"
    )


def drop_at_once(op: Any) -> None:
    """The step that drops its trigger and its function."""
    op.drop_search_vector("songs", "words")


def test_killed_anywhere_a_replacement_is_finished_by_the_next(proof: Proof) -> None:
    proof("replace_search_vector_online", replace, replace_back, fill=FILL, first=add)


def test_killed_anywhere_dropping_all_but_the_column_is_finished(proof: Proof) -> None:
    proof("drop_search_vector_online, column kept", keep_column, add, fill=FEW, first=add)


def test_killed_anywhere_adding_at_once_is_as_if_it_had_not_begun(proof: Proof) -> None:
    def back(op: Any) -> None:
        drop_at_once(op)
        op.drop_column("songs", "words")

    proof("add_search_vector", add_at_once, back)


def test_killed_anywhere_dropping_at_once_is_as_if_it_had_not_begun(proof: Proof) -> None:
    proof("drop_search_vector", drop_at_once, add_at_once, fill=FEW, first=add)


def test_a_replacement_is_taken_up_by_every_row_and_its_index_stays(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FILL)
    apply(add)
    index = "SELECT 'ix_songs_words'::regclass::oid, pg_relation_filenode('ix_songs_words')"
    before = database.execute(index).fetchone()
    apply(replace)
    database.execute("INSERT INTO songs (title, album) VALUES ('Waterloo', 'Abba')")
    assert words(database, 7) == "'nº':1A"
    assert words(database, 1201) == "'abba':1A"
    assert database.execute(index).fetchone() == before
    database.execute("UPDATE songs SET title = 'x'")
    assert words(database, 1201) == "'abba':1A"
    apply(replace_back)
    assert database.execute(WRONG).fetchone() == (0,)


def test_a_replacement_does_not_wait_for_those_who_read(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FEW)
    apply(add)
    database.execute("SET idle_in_transaction_session_timeout = '5s'")
    with database.transaction():
        database.execute("SELECT * FROM songs")  # would block whatever locks ACCESS EXCLUSIVE
        apply(replace)
    assert words(database, 1) == "'nº':1A"


@pytest.mark.quick
def test_a_replacement_needs_the_column(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    before = remains(database)
    with pytest.raises(MigrationError, match="songs has no column words") as raised:
        apply(replace)
    assert "add_search_vector_online" in raised.value.cure
    assert "add_search_vector_online" in psql(empty_database_url, script(replace)).stderr
    assert remains(database) == before
    database.execute("INSERT INTO songs (title) VALUES ('still writable')")


def test_a_column_that_is_kept_keeps_its_values_and_its_index(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute(FEW)
    apply(add)
    for _ in range(2):
        apply(keep_column)
    database.execute("UPDATE songs SET title = 'Waterloo' WHERE id = 1")
    assert words(database, 1) == "'nº':2B 'été':1A"
    assert database.execute("SELECT to_regclass('ix_songs_words')::text").fetchone() != (None,)
    assert len(remains(database)) == 4
    apply(add)
    assert words(database, 1) == "'nº':2B 'waterloo':1A"


def test_a_new_table_is_kept_from_its_first_row(database: psycopg.Connection, apply: Apply) -> None:
    def step(op: Any) -> None:
        op.execute("CREATE TABLE albums (id int PRIMARY KEY, name text)")
        given = "albums", "words", {"name": "A"}
        op.add_search_vector(*given, configuration="pg_catalog.simple")
        op.execute("INSERT INTO albums VALUES (1, 'Arrival')")

    apply(step)
    found = database.execute("SELECT words::text FROM albums").fetchone()
    assert found == ("'arrival':1A",)


def test_a_table_with_rows_is_not_for_adding_at_once(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    database.execute(FEW)
    before = remains(database)
    with pytest.raises(DBAPIError, match=r"holds rows: use op\.add_search_vector_online"):
        apply(add_at_once)
    assert "holds rows" in psql(empty_database_url, script(add_at_once)).stderr
    assert remains(database) == before
    database.execute("ALTER TABLE songs ADD words tsvector")
    apply(add_at_once)
    database.execute("INSERT INTO songs (title) VALUES ('Waterloo')")
    assert words(database, 3) == "'waterloo':1A"


@pytest.mark.quick
@pytest.mark.parametrize("schema", [None, 'Other "%s":'])
def test_odd_names_and_another_schema_of_what_changes_one(
    empty_database_url: URL,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    schema: str | None,
) -> None:
    if schema:
        database.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
    table, column, source = "Odd \"%s: {t}' $$", "the %s \"Key' :x", "its $$ 'title': %"
    there = quoted(table, schema)
    database.execute(f'CREATE TABLE {there} ("Id %" int, {quoted(source)} text)'.encode())
    given: dict[str, Any] = {"configuration": "pg_catalog.simple", "key": "Id %", "schema": schema}

    def step(op: Any) -> None:
        op.add_search_vector(table, column, {source: "A"}, **given)

    def change(op: Any) -> None:
        op.replace_search_vector_online(table, column, {source: "C"}, key_type="int", **given)

    def undo(op: Any) -> None:
        op.drop_search_vector(table, column, schema=schema)

    def keep(op: Any) -> None:
        op.drop_search_vector_online(table, column, keep_column=True, schema=schema)

    def run_script(step: Step) -> None:
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr

    written = f"INSERT INTO {there} ({quoted(source)}) VALUES ('Waterloo')".encode()
    read = f"SELECT DISTINCT {quoted(column)}::text FROM {there}".encode()
    for run in (apply, run_script):
        for last in (undo, keep):
            run(step)
            database.execute(written)
            assert database.execute(read).fetchall() == [("'waterloo':1A",)]
            database.execute(f'UPDATE {there} SET "Id %" = 1'.encode())
            run(change)
            database.execute(written)
            assert database.execute(read).fetchall() == [("'waterloo':1C",)]
            run(last)
            database.execute(f"TRUNCATE {there}".encode())
            database.execute(written)
            assert database.execute(read).fetchall() == [(None,)]
            database.execute(f"TRUNCATE {there}".encode())


def test_a_replacement_knows_its_way_back(database: psycopg.Connection, apply: Apply) -> None:
    database.execute(FILL)
    made_of = "pg_catalog.simple", "id", "bigint"
    before = AddSearchVectorOnline("songs", "words", {"title": "A", "album": "B"}, *made_of)
    forward = ReplaceSearchVectorOnline("songs", "words", {"album": "A"}, *made_of)
    forward.replaced = before
    apply(lambda op: op.invoke(before))
    apply(lambda op: op.invoke(forward))
    assert words(database, 7) == "'nº':1A"
    apply(lambda op: op.invoke(forward.reverse()))
    assert database.execute(WRONG).fetchone() == (0,)


def test_a_column_that_was_there_before_stays_on_the_way_back(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("ALTER TABLE songs ADD words tsvector")
    forward = AddSearchVectorOnline(
        "songs", "words", {"title": "A"}, "pg_catalog.simple", "id", "bigint"
    )
    forward.kept_column = True
    apply(lambda op: op.invoke(forward))
    apply(lambda op: op.invoke(forward.reverse()))
    assert ("words",) in remains(database)
    assert forward.reverse().reverse() is forward
