"""`op.create_index_online` and `op.drop_index_online`: idempotent against the catalogue."""

import itertools
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic.operations.ops import CreateIndexOp
from psycopg.errors import UniqueViolation
from sqlalchemy import URL, Engine, event, text

from pgmodern.errors import MigrationError
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline, ReplaceIndexOnline
from tests.operations.indexes import Apply, Step, create, drop, index, names, replace
from tests.waiting import until, until_found

Connect = Callable[[URL], psycopg.Connection]
Proof = Callable[..., None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]

FILL = "INSERT INTO songs (title, album) SELECT md5(i::text), 'a' FROM generate_series(1, 200) AS i"


def leave_an_invalid_index(database: psycopg.Connection) -> None:
    """Leave behind what a failed build leaves: an index that is there and answers nothing."""
    database.execute("INSERT INTO songs (title) VALUES ('twice'), ('twice')")
    with pytest.raises(UniqueViolation):
        database.execute("CREATE UNIQUE INDEX CONCURRENTLY ix ON songs (title)")
    found = index(database)
    assert found is not None
    assert not found[2]


STEPS: list[tuple[Step, str]] = [
    (create("title"), "USING btree (title)"),
    (create("album", "title"), "USING btree (album, title)"),
    (create("title", unique=True), "UNIQUE INDEX ix"),
    (create(text("lower(title)")), "(lower(title))"),
    (
        create(text(r"(title || '\:x%s' || album)"), "id"),
        "(((title || ':x%s'::text) || album)), id)",
    ),
    (create(text("title DESC NULLS LAST")), "(title DESC NULLS LAST)"),
    (create("title", postgresql_where=text(r"album = '%\:x'")), "WHERE (album = '%:x'::text)"),
    (create("title", postgresql_include=["album"]), "(title) INCLUDE (album)"),
    (create("title", postgresql_ops={"title": "text_pattern_ops"}), "(title text_pattern_ops)"),
    (create("title", postgresql_with={"fillfactor": 50}), "WITH (fillfactor='50')"),
    (create("id", postgresql_using="brin"), "USING brin (id)"),
    (
        create(
            text("to_tsvector('simple', title) tsvector_ops(siglen=32)"), postgresql_using="gist"
        ),
        "tsvector_ops (siglen='32')",
    ),
    (
        create("title", unique=True, postgresql_nulls_not_distinct=True),
        "(title) NULLS NOT DISTINCT",
    ),
]


@pytest.mark.parametrize(("step", "part"), STEPS, ids=[part for _, part in STEPS])
def test_an_index_that_is_there_already_is_not_touched(
    database: psycopg.Connection, apply: Apply, step: Step, part: str
) -> None:
    database.execute(FILL)
    apply(step)
    first = index(database)
    assert first is not None
    assert part in first[1]
    assert first[2]
    apply(step)
    assert index(database) == first


def test_an_index_that_somebody_else_built_alike_is_not_touched(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE INDEX ix ON songs USING btree (lower( title ) text_ops ASC)")
    before = index(database)
    apply(create(text("LOWER(title)")))
    assert index(database) == before


def test_an_invalid_index_is_built_anew(database: psycopg.Connection, apply: Apply) -> None:
    leave_an_invalid_index(database)
    apply(create("title"))
    found = index(database)
    assert found is not None
    assert found[2]
    assert "UNIQUE" not in found[1]


def test_duplicates_are_shown_and_leave_no_index_behind(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('twice'), ('twice')")
    for _ in range(2):
        with pytest.raises(MigrationError, match=r"\(title\)=\(twice\)"):
            apply(create("title", unique=True))
        assert index(database) is None
    database.execute("DELETE FROM songs WHERE id = 2")
    apply(create("title", unique=True))
    found = index(database)
    assert found is not None
    assert found[2]


@pytest.mark.parametrize(
    "before",
    [
        "CREATE INDEX ix ON songs (album)",
        "CREATE INDEX ix ON songs (title, album)",
        "CREATE INDEX ix ON songs (title DESC)",
        "CREATE INDEX ix ON songs (lower(title))",
        "CREATE UNIQUE INDEX ix ON songs (title)",
        "CREATE INDEX ix ON songs USING hash (title)",
        "CREATE INDEX ix ON songs (title) WHERE album IS NULL",
        "CREATE INDEX ix ON songs (title) INCLUDE (album)",
        "CREATE INDEX ix ON songs (title text_pattern_ops)",
        'CREATE INDEX ix ON songs (title COLLATE "C")',
        "CREATE INDEX ix ON songs (title) WITH (fillfactor = 50)",
    ],
)
def test_an_index_of_another_definition_is_built_anew(
    database: psycopg.Connection, apply: Apply, before: str
) -> None:
    database.execute(before.encode())
    other = index(database)
    assert other is not None
    apply(create("title"))
    found = index(database)
    assert found is not None
    assert found[1:] == ("CREATE INDEX ix ON public.songs USING btree (title)", True)
    assert found[0] != other[0]


def test_an_index_of_that_name_on_another_table_is_not_taken_for_it(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE TABLE others (title text)")
    database.execute("CREATE INDEX ix ON others (title)")
    before = index(database)
    with pytest.raises(MigrationError, match="others"):
        apply(create("title"))
    with pytest.raises(MigrationError, match="others"):
        apply(create("album"))
    assert index(database) == before


def test_it_is_built_under_writers_and_holds_their_rows(
    empty_database_url: URL, database: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    database.execute(FILL)
    writer, stop = connect(empty_database_url), threading.Event()

    def write() -> int:
        for count in itertools.count(1):
            writer.execute("INSERT INTO songs (title, album) VALUES (%s, 'new')", [str(count)])
            writer.execute("UPDATE songs SET title = title || '!' WHERE id = %s", [count])
            if stop.is_set():
                return count
        raise AssertionError

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        try:
            for _ in range(5):
                apply(create("title"))
                apply(drop())
            apply(create("title"))
        finally:
            stop.set()
        written = writing.result()
    database.execute("SET enable_seqscan = off")
    rows = database.execute("SELECT count(*) FROM songs WHERE title > ''").fetchone()
    assert rows == (200 + written,)


def test_an_old_snapshot_delays_the_build_and_does_not_end_it(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    def impatient(op: Any) -> None:
        op.execute("SET lock_timeout = '100ms'")
        create("title")(op)
        op.execute("DO $$ BEGIN ASSERT current_setting('lock_timeout') = '100ms'; END $$")

    reader = connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    waited = (
        "SELECT pid FROM pg_stat_activity WHERE pid = %s AND state = 'active' "
        "AND clock_timestamp() > query_start + interval '500 ms'"
    )
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM songs")
            building = pool.submit(apply, impatient)
            builder = blocked(empty_database_url)
            until_found(database, waited, builder, while_running=building)
        building.result()
    found = index(database)
    assert found is not None
    assert found[2]


VECTORS = (
    "CREATE EXTENSION vector; ALTER TABLE songs ADD embedding vector(3);"
    "INSERT INTO songs (title, embedding) SELECT md5(i::text), ARRAY[i, i % 7, 1]::real[] "
    "FROM generate_series(1, 200) AS i"
)
NEAREST: dict[str, Any] = {
    "postgresql_using": "hnsw",
    "postgresql_ops": {"embedding": "vector_cosine_ops"},
    "postgresql_with": {"m": 8},
}


@pytest.mark.parametrize(
    ("what", "step", "fill"),
    [
        ("btree", create("title"), FILL),
        ("unique", create("title", unique=True), FILL),
        ("GIN", create(text("to_tsvector('simple', title)"), postgresql_using="gin"), FILL),
        pytest.param("HNSW", create("embedding", **NEAREST), VECTORS, marks=pytest.mark.vector),
    ],
)
def test_a_build_killed_at_any_statement_is_finished_by_the_next(
    proof: Proof, what: str, step: Step, fill: str
) -> None:
    proof(f"create_index_online, {what}", step, drop(), fill=fill)


def test_a_drop_killed_at_any_statement_is_finished_by_the_next(proof: Proof) -> None:
    proof("drop_index_online", drop(), create("title"), fill=FILL, first=create("title"))


def test_a_build_killed_midway_is_finished_by_the_next(
    empty_database_url: URL,
    database: psycopg.Connection,
    connect: Connect,
    apply: Apply,
    blocked: Callable[[URL], int],
) -> None:
    reader = connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM songs")
            building = pool.submit(apply, create("title"))
            builder = blocked(empty_database_url)
            database.execute("SELECT pg_terminate_backend(%s, 5000)", [builder])
        assert building.exception() is not None
    left = index(database)
    assert left is not None
    assert not left[2]
    apply(create("title"))
    found = index(database)
    assert found is not None
    assert found[2]


def test_odd_names_are_quoted(database: psycopg.Connection, apply: Apply) -> None:
    table, name, column = 'Odd "%s: {t}', "Index 'of\" :x %s", 'the %s "Key"'
    database.execute('CREATE TABLE "Odd ""%s: {t}" ("the %s ""Key""" text)')
    step = create(column, name=name, table=table, postgresql_ops={column: "text_pattern_ops"})
    for _ in range(2):
        apply(step)
        found = index(database, '"Index \'of"" :x %s"')
        assert found is not None
        assert '("the %s ""Key""" text_pattern_ops)' in found[1]
    apply(drop(name))
    assert index(database, '"Index \'of"" :x %s"') is None


def test_a_table_may_be_in_another_schema(database: psycopg.Connection, apply: Apply) -> None:
    database.execute('CREATE SCHEMA "Other one"')
    database.execute('CREATE TABLE "Other one".songs (id int, title text)')
    database.execute("CREATE INDEX ix ON songs (album)")
    here = index(database)
    step = create("title", text("lower(title)"), schema="Other one")
    apply(step)
    found = index(database, '"Other one".ix')
    assert found is not None
    assert 'ON "Other one".songs' in found[1]
    apply(step)
    assert index(database, '"Other one".ix') == found
    apply(create("title", schema="Other one"))
    assert index(database, '"Other one".ix') != found
    apply(drop(schema="Other one"))
    assert index(database, '"Other one".ix') is None
    assert index(database) == here


def test_a_search_path_that_names_pg_temp_last_does_not_confuse_it(
    database: psycopg.Connection, apply: Apply
) -> None:
    def step(op: Any) -> None:
        op.execute("SET search_path = public, pg_temp")
        create("title")(op)

    apply(step)
    before = index(database)
    apply(step)
    assert index(database) == before


@pytest.mark.parametrize("step", [replace("title"), create("title")], ids=["replace", "create"])
def test_an_index_serves_until_its_successor_is_there(
    database: psycopg.Connection, engine: Engine, apply: Apply, step: Step
) -> None:
    database.execute("CREATE INDEX ix ON songs (title, album)")
    serving = "SELECT count(*) FROM pg_index WHERE indrelid = 'songs'::regclass AND indisvalid"
    fewest = 2

    def look(*_: object) -> None:
        nonlocal fewest
        found = database.execute(serving).fetchone()
        fewest = min(fewest, int(str(found[0])) if found else 0)

    event.listen(engine, "before_cursor_execute", look)
    event.listen(engine, "after_cursor_execute", look)
    apply(step)
    assert fewest == 2  # the primary key's, and one that serves the titles
    found = index(database)
    assert found is not None
    assert found[1:] == ("CREATE INDEX ix ON public.songs USING btree (title)", True)
    assert names(database) == {"ix"}
    apply(step)
    assert index(database) == found


def test_a_replacement_that_cannot_be_leaves_the_old_one(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("INSERT INTO songs (title) VALUES ('twice'), ('twice')")
    database.execute("CREATE INDEX ix ON songs (title)")
    before = index(database)
    with pytest.raises(MigrationError, match="twice"):
        apply(replace("title", unique=True))
    assert index(database) == before
    assert names(database) == {"ix"}


def test_an_index_that_another_session_builds_is_waited_for_and_kept(
    empty_database_url: URL, database: psycopg.Connection, connect: Connect, apply: Apply
) -> None:
    database.execute(FILL)
    reader, builder = connect(empty_database_url), connect(empty_database_url)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM songs")
            build = "CREATE INDEX CONCURRENTLY ix ON songs (title)"
            building = pool.submit(builder.execute, build.encode())
            until(lambda: index(database) is not None)
            started = index(database)
            assert started is not None
            applying = pool.submit(apply, create("title"))
            database.execute("SELECT pg_sleep(0.5)")
            assert not applying.done()
        building.result(timeout=30)
        applying.result(timeout=30)
    found = index(database)
    assert found is not None
    assert found[2]
    assert found[0] == started[0]


@pytest.mark.quick
def test_a_constraint_s_index_is_not_dropped(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("ALTER TABLE songs ADD CONSTRAINT ix UNIQUE (title)")
    with pytest.raises(MigrationError, match="constraint"):
        apply(drop())
    assert index(database) is not None


def test_the_script_replaces_it_too(
    empty_database_url: URL, database: psycopg.Connection, script: Callable[[Step], str], psql: Psql
) -> None:
    database.execute("CREATE INDEX ix ON songs (album)")
    for _ in range(2):
        done = psql(empty_database_url, script(replace("title")))
        assert done.returncode == 0, done.stderr
        found = index(database)
        assert found is not None
        assert found[1:] == ("CREATE INDEX ix ON public.songs USING btree (title)", True)
        assert names(database) == {"ix"}


def test_dropping_twice_is_as_good_as_once(database: psycopg.Connection, apply: Apply) -> None:
    database.execute("CREATE INDEX ix ON songs (title)")
    apply(drop())
    assert index(database) is None
    apply(drop())


def test_each_is_the_reverse_of_the_other(database: psycopg.Connection, apply: Apply) -> None:
    forward = CreateIndexOnline(CreateIndexOp("ix", "songs", ["title"]))
    apply(lambda op: op.invoke(forward))
    assert index(database) is not None
    apply(lambda op: op.invoke(forward.reverse()))
    assert index(database) is None
    apply(lambda op: op.invoke(DropIndexOnline("ix", dropped=forward.index).reverse()))
    before = index(database)
    assert before is not None
    there = ReplaceIndexOnline(CreateIndexOp("ix", "songs", ["album"]), forward.index)
    apply(lambda op: op.invoke(there))
    apply(lambda op: op.invoke(there.reverse()))
    found = index(database)
    assert found is not None
    assert found[1] == before[1]


@pytest.mark.quick
def test_an_owner_who_may_make_no_temporary_table_may(
    database: psycopg.Connection, owner: str, apply: Apply
) -> None:
    def as_owner(op: Any) -> None:
        op.execute(f"SET ROLE {owner}")
        lower, upper = text("lower(title)"), text("upper(title)")
        for step in (create(lower), create(lower), replace(upper), replace(upper), drop()):
            step(op)

    apply(as_owner)
    assert names(database) == set()


@pytest.mark.quick
def test_what_is_rendered_runs(
    database: psycopg.Connection, apply: Apply, render: Callable[[Any], str]
) -> None:
    options: dict[str, Any] = {
        "postgresql_using": "gist",
        "postgresql_ops": {"title": "gist_trgm_ops(siglen=32)"},
    }
    database.execute("CREATE EXTENSION pg_trgm")
    options |= {"postgresql_concurrently": True}
    index_ = CreateIndexOp("ix", "songs", ["title"], **options)
    created = render(CreateIndexOnline(index_))
    assert created.startswith("op.create_index_online('ix', 'songs', ['title'], ")
    assert "concurrently" not in created
    assert render(ReplaceIndexOnline(index_)).startswith("op.replace_index_online('ix', ")
    apply(lambda op: exec(created, {"op": op}))
    found = index(database)
    assert found is not None
    assert "gist (title gist_trgm_ops (siglen='32'))" in found[1]
    dropped = render(DropIndexOnline("ix"))
    assert dropped == "op.drop_index_online('ix')"
    apply(lambda op: exec(dropped, {"op": op}))
    assert index(database) is None


@pytest.mark.parametrize(("step", "part"), STEPS, ids=[part for _, part in STEPS])
def test_the_script_builds_the_same(
    empty_database_url: URL,
    database: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
    step: Step,
    part: str,
) -> None:
    for _ in range(2):
        done = psql(empty_database_url, script(step))
        assert done.returncode == 0, done.stderr
    found = index(database)
    assert found is not None
    assert part in found[1]
    assert psql(empty_database_url, script(drop())).returncode == 0
    assert index(database) is None


def test_the_script_builds_an_invalid_index_anew(
    empty_database_url: URL, database: psycopg.Connection, script: Callable[[Step], str], psql: Psql
) -> None:
    leave_an_invalid_index(database)
    done = psql(empty_database_url, script(create("title")))
    assert done.returncode == 0, done.stderr
    found = index(database)
    assert found is not None
    assert found[2]


def test_the_script_builds_outside_a_transaction(script: Callable[[Step], str]) -> None:
    before, _, after = script(create("title")).partition("CREATE INDEX CONCURRENTLY")
    assert before.rindex("COMMIT;") > before.rindex("BEGIN;")
    assert after.index("BEGIN;") < after.index("COMMIT;")


def test_an_index_of_that_name_in_another_schema_of_the_search_path_is_not_it(
    database: psycopg.Connection, apply: Apply
) -> None:
    database.execute("CREATE SCHEMA app")
    database.execute("CREATE TABLE app.songs (id bigint, title text, album text)")
    database.execute("CREATE INDEX ix ON public.songs (title)")
    before = index(database, "public.ix")

    def step(op: Any) -> None:
        op.execute("SET search_path = app, public")
        create("title")(op)

    for _ in range(2):
        apply(step)
        assert index(database, "public.ix") == before
        found = index(database, "app.ix")
        assert found is not None
        assert "ON app.songs" in found[1]
