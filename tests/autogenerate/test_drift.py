"""What somebody did to the database by hand: seen and mended, or not ours and left alone."""

from pathlib import Path
from typing import Any

import pytest
from pgvector import sqlalchemy as pgvector
from pgvector.sqlalchemy import HALFVEC, SPARSEVEC, VECTOR
from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect

from pgmodern.extensions import Extension
from pgmodern.indexes import TrigramIndex
from pgmodern.types import Bit, HalfVector, SparseVector, Vector
from tests.autogenerate.changes import (
    ROWS,
    SMALL,
    Adding,
    check,
    column,
    index,
    near,
    notifies,
    plays,
    songs,
    vectors,
    words,
)
from tests.autogenerate.conftest import Project, unformatted

SEARCHED: list[Adding] = [words(("title", "A"), ("album", "B"))]
TRIGGER = "songs_found_922d7bd8"

SEEN: dict[str, tuple[list[Adding], str]] = {
    "an index that is INVALID": (
        [index("title")],
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix'::regclass",
    ),
    "an index of another definition": (
        [index("title")],
        'DROP INDEX ix; CREATE INDEX ix ON songs (title DESC, (lower(album)) COLLATE "C") '
        "INCLUDE (plays) WITH (fillfactor = 60) WHERE plays > 7",
    ),
    "an index of operator class parameters": (
        [lambda table: TrigramIndex("ix", table.c.title)],
        "DROP INDEX ix; CREATE INDEX ix ON songs USING gist (title gist_trgm_ops (siglen = 64), "
        "album gist_trgm_ops (siglen = 32))",
    ),
    "a CHECK that is NOT VALID": (
        [check("plays >= 0")],
        "ALTER TABLE songs DROP CONSTRAINT positive, "
        "ADD CONSTRAINT positive CHECK (plays >= 0) NOT VALID",
    ),
    "a CHECK of another condition": (
        [check("plays >= 0")],
        "ALTER TABLE songs DROP CONSTRAINT positive, "
        "ADD CONSTRAINT positive CHECK (title <> ':x 100%') NOT VALID",
    ),
    "a CHECK that is gone": ([check("plays >= 0")], "ALTER TABLE songs DROP CONSTRAINT positive"),
    "a trigger that is gone": (SEARCHED, f"DROP TRIGGER {TRIGGER} ON songs"),
    "a trigger that is disabled": (SEARCHED, f"ALTER TABLE songs DISABLE TRIGGER {TRIGGER}"),
    "a trigger's events": (
        SEARCHED,
        f"DROP TRIGGER {TRIGGER} ON songs; CREATE TRIGGER {TRIGGER} BEFORE INSERT ON songs "
        f"FOR EACH ROW EXECUTE FUNCTION {TRIGGER}()",
    ),
    "a trigger's body": (
        SEARCHED,
        f"CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN NEW.found := to_tsvector('simple', NEW.title); RETURN NEW; END $$",
    ),
    "a notification's body": (
        [notifies(["id"])],
        "DO $$ BEGIN EXECUTE replace(pg_get_functiondef((SELECT oid FROM pg_proc "
        "WHERE proname LIKE 'songs_changed%')), 'LIMIT 1001', 'LIMIT 7'); END $$",
    ),
    "a notification's trigger": (
        [notifies(["id"])],
        "DO $$ BEGIN EXECUTE 'DROP TRIGGER ' || (SELECT quote_ident(min(tgname)) FROM pg_trigger "
        "WHERE tgname LIKE 'songs_changed%') || ' ON songs'; END $$",
    ),
    "a configuration that is gone": (
        [words(("title", "A"))],
        f"DROP TRIGGER {TRIGGER} ON songs; DROP FUNCTION {TRIGGER}; "
        "DROP TEXT SEARCH CONFIGURATION simple_unaccent",
    ),
    "an extension that is gone": (
        [lambda table: TrigramIndex("ix", table.c.title)],
        "DROP EXTENSION pg_trgm CASCADE",
    ),
    "a column that is of another type": ([], "ALTER TABLE songs ALTER plays TYPE smallint"),
    "a column that may be NULL": ([], "ALTER TABLE songs ALTER title DROP NOT NULL"),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_differs_is_mended(project: Project, name: str) -> None:
    adding, sql = SEEN[name]
    metadata = songs(*adding)
    project.revise(metadata)
    project.upgrade(metadata)
    project.execute(ROWS)
    project.execute(sql)
    assert project.differences(metadata), "nothing was seen"
    written = project.revise(metadata)
    assert unformatted(written) == ""
    project.upgrade(metadata)
    assert project.differences(metadata) == []
    project.downgrade(metadata, len(written))  # whatever it restores, it runs
    project.upgrade(metadata)
    assert project.differences(metadata) == []


LEFT_ALONE: dict[str, str] = {
    "an extension": "CREATE EXTENSION hstore",
    "a CHECK": "ALTER TABLE songs ADD CONSTRAINT old CHECK (plays < 1000000)",
    "a CHECK that is NOT VALID": "ALTER TABLE songs ADD CHECK (plays < 1000000) NOT VALID",
    "a trigger": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; "
    "END $$; CREATE TRIGGER t BEFORE UPDATE ON songs FOR EACH ROW EXECUTE FUNCTION f()",
    "a configuration": "CREATE TEXT SEARCH CONFIGURATION other (COPY = english)",
    "a schema": "CREATE SCHEMA other; CREATE TABLE other.songs (id int)",
    "a view": "CREATE VIEW titles AS SELECT title FROM songs; "
    "CREATE MATERIALIZED VIEW kept AS SELECT title FROM songs",
    "statistics": "CREATE STATISTICS s ON title, album FROM songs",
    "storage": "ALTER TABLE songs SET (fillfactor = 70); ALTER TABLE songs ALTER title "
    "SET STORAGE EXTERNAL",
    "a CHECK that was validated": "ALTER TABLE songs VALIDATE CONSTRAINT late",
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_not_declared_is_left_alone(project: Project, name: str) -> None:
    metadata = songs(check("plays > 1", name="late", postgresql_not_valid=True))
    project.revise(metadata)
    project.upgrade(metadata)
    project.execute(LEFT_ALONE[name])
    assert project.differences(metadata) == []


@pytest.mark.quick
def test_what_is_not_declared_goes_when_that_is_asked_for(project: Project) -> None:
    metadata = songs()
    project.revise(metadata)
    project.upgrade(metadata)
    project.execute(LEFT_ALONE["a CHECK"])
    project.drop_undeclared = True
    written = project.revise(metadata)
    project.upgrade(metadata)
    assert project.differences(metadata) == []
    project.downgrade(metadata, len(written))
    project.drop_undeclared = False
    assert "old" in definitions(project, "pg_constraint", "conname")


def definitions(project: Project, catalogue: str, name: str) -> list[str]:
    """Return the names of what a catalogue holds."""
    with project.engine.connect() as connection:
        return [str(found) for found in connection.scalars(text(f"SELECT {name} FROM {catalogue}"))]


def test_an_old_extension_is_updated_before_what_needs_it(project: Project) -> None:
    project.execute("CREATE EXTENSION pg_trgm VERSION '1.3'")
    metadata = songs(lambda table: TrigramIndex("ix", table.c.title))
    written = project.revise(metadata)
    assert "op.update_extension(" in written[0].read_text()
    project.upgrade(metadata)
    assert project.differences(metadata) == []


def test_an_extension_that_the_server_does_not_have_is_an_error(project: Project) -> None:
    metadata = songs()
    metadata.info["extensions"] = [Extension("no_such_extension")]
    project.revise(metadata)
    with pytest.raises(Exception, match="The server does not have the extension"):
        project.upgrade(metadata)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("by", "made"),
    [
        ("LIST (at)", "PARTITION BY LIST (at)"),
        ("RANGE (at)", "PARTITION BY HASH (id)"),
        ("HASH (id, at)", "PARTITION BY HASH (id, at)"),
        ("range(AT)", "PARTITION BY RANGE (at)"),
        (None, "PARTITION BY RANGE (at)"),
    ],
)
def test_how_a_table_is_partitioned(project: Project, by: str | None, made: str) -> None:
    project.execute(
        "CREATE TABLE plays (id bigint GENERATED BY DEFAULT AS IDENTITY, at timestamptz NOT NULL "
        f"DEFAULT now(), title text, PRIMARY KEY (id, at)) {made}; "
        "CREATE INDEX ix_plays_title ON plays (title)"
    )
    if "HASH" not in made:
        project.execute("CREATE TABLE others PARTITION OF plays DEFAULT")
    metadata = plays(by=by)
    found = project.differences(metadata)
    is_same = by is None or by.replace(" ", "").lower() in made.replace(" ", "").lower()
    if is_same:
        assert found == []
    else:
        assert found == [("by_hand", "plays")]
        (written,) = project.revise(metadata)
        assert "No table can be turned into that" in " ".join(comments(written))
        project.upgrade(metadata)


def comments(path: Path) -> list[str]:
    """Return the lines of a file's comments."""
    return [line.strip(" #") for line in path.read_text().splitlines() if line.strip()[:1] == "#"]


def test_partitions_are_never_dropped_nor_is_a_table_with_them(project: Project) -> None:
    project.execute(
        "CREATE TABLE plays (id bigint, at date) PARTITION BY RANGE (at); "
        "CREATE TABLE plays_2026 PARTITION OF plays FOR VALUES FROM ('2026-01-01') TO "
        "('2027-01-01') PARTITION BY LIST (id); "
        "CREATE TABLE plays_1 PARTITION OF plays_2026 FOR VALUES IN (1); "
        "INSERT INTO plays VALUES (1, '2026-02-03')"
    )
    metadata = songs()
    project.revise(metadata)
    project.upgrade(metadata)
    assert {"plays", "plays_2026", "plays_1"} <= set(definitions(project, "pg_class", "relname"))
    assert project.differences(metadata) == [("by_hand", "plays")]


def everywhere(schema: str, **options: Any) -> MetaData:
    """Return two schemas' tables of the same name."""
    metadata = MetaData()
    for each in (schema, None):
        table = Table(
            "songs",
            metadata,
            Column("id", BigInteger, primary_key=True),
            Column("title", Text, nullable=False),
            Column("plays", Integer, **options),
            schema=each,
        )
        Index("ix", table.c.title, postgresql_where=table.c.title != "%: x")
        words(("title", "A"))(table)
        check("title <> ''")(table)
    return metadata


def test_tables_of_one_name_in_two_schemas(project: Project) -> None:
    project.execute('CREATE SCHEMA "Odd ""one"""; CREATE TABLE "Odd ""one""".alien (id int)')
    project.execute('DROP TABLE "Odd ""one""".alien')
    before = everywhere('Odd "one"')
    after = everywhere('Odd "one"', nullable=False, server_default=text("0"))
    for metadata in (before, after):
        written = project.revise(metadata)
        assert unformatted(written) == ""
        project.upgrade(metadata)
        assert project.differences(metadata) == []
    project.downgrade(after, len(written))
    assert project.differences(before, without=written) == []


def test_tables_of_a_schema_that_no_model_is_in_are_left_alone(project: Project) -> None:
    project.execute("CREATE SCHEMA shop; CREATE TABLE public.alien (id int)")
    metadata = MetaData(schema="shop")
    Table("songs", metadata, Column("id", BigInteger, primary_key=True))
    project.revise(metadata)
    project.upgrade(metadata)
    assert project.differences(metadata) == []


@pytest.mark.quick
@pytest.mark.vector
@pytest.mark.contrib
def test_what_create_all_makes_is_no_difference(project: Project) -> None:
    metadata = songs(*SEARCHED, SMALL, near(), check("plays >= 0"))
    metadata.create_all(project.engine)
    assert project.differences(metadata) == []


@pytest.mark.vector
def test_one_vector_by_two_names_is_no_difference_and_another_is(project: Project) -> None:
    kinds = [Vector(3), HalfVector(3), SparseVector(3), Bit(3)]
    project.revise(songs(vectors(*kinds)))
    project.upgrade(songs(vectors(*kinds)))
    theirs = VECTOR(3), HALFVEC(3), SPARSEVEC(3), pgvector.BIT(3)
    assert project.differences(songs(vectors(*theirs))) == []
    others = Vector(), HALFVEC(4), SparseVector(), postgresql.BIT(3, varying=True)
    for place, other in enumerate(others):
        changed = [*kinds[:place], other, *kinds[place + 1 :]]
        assert len(project.differences(songs(vectors(*changed)))) == 1, other


def test_what_goes_with_a_column_comes_back_with_it(project: Project) -> None:
    metadata = songs()
    project.revise(metadata)
    project.upgrade(metadata)
    project.execute(LEFT_ALONE["a CHECK"])
    after = songs(without=("plays",))
    written = project.revise(after)
    project.upgrade(after)
    assert "old" not in definitions(project, "pg_constraint", "conname")
    project.downgrade(after, len(written))
    assert "old" in definitions(project, "pg_constraint", "conname")


@pytest.mark.quick
def test_indexes_of_a_partitioned_table(project: Project) -> None:
    project.execute(
        "CREATE TABLE plays (id bigint GENERATED BY DEFAULT AS IDENTITY, at timestamptz NOT NULL "
        "DEFAULT now(), title text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); "
        "CREATE TABLE others PARTITION OF plays DEFAULT; CREATE INDEX ix_old ON plays (title); "
        "CREATE INDEX ix_plays_title ON plays (at)"
    )
    metadata = plays(by="RANGE (at)")
    Table(
        "others",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("at", DateTime(timezone=True), primary_key=True, server_default=text("now()")),
        Column("title", Text),
    )
    Index("ix_new", metadata.tables["plays"].c.title.desc())
    metadata.tables["plays"].append_constraint(UniqueConstraint("title", "at", name="uq"))
    written = project.revise(metadata)
    assert unformatted(written) == ""
    project.upgrade(metadata)
    assert project.differences(metadata) == []
    project.downgrade(metadata, len(written))
    assert "ix_old" in definitions(project, "pg_class", "relname")


@pytest.mark.quick
def test_tables_that_refer_to_each_other_are_not_dropped_at_once(project: Project) -> None:
    metadata = songs()
    project.revise(metadata)
    project.upgrade(metadata)
    project.execute(
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int "
        "REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b"
    )
    (written,) = project.revise(metadata)
    assert "refer to each other" in " ".join(comments(written))


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["NO INHERIT", "NOT ENFORCED"])
def test_a_check_that_no_operation_makes_is_left_to_somebody(project: Project, kind: str) -> None:
    metadata = songs(check("plays >= 0"))
    project.revise(metadata)
    project.upgrade(metadata)
    if kind == "NOT ENFORCED" and project.version < 18:
        kind = "NO INHERIT"
    project.execute(
        "ALTER TABLE songs DROP CONSTRAINT positive, "
        f"ADD CONSTRAINT positive CHECK (plays > 7) {kind}"
    )
    (written,) = project.revise(metadata)
    assert kind in " ".join(comments(written))
    project.upgrade(metadata)


@pytest.mark.quick
@pytest.mark.since(18, "virtual columns")
@pytest.mark.skipif(
    not getattr(PGDialect, "supports_virtual_generated_columns", False),
    reason="SQLAlchemy 2.0 writes no virtual columns",
)
def test_a_virtual_column_s_expression(project: Project) -> None:
    before, after = (
        songs(
            check("plays >= 0"),
            column("twice", Integer, Computed(f"plays * {factor}", persisted=False)),
            check("twice < 1000", name="few"),
        )
        for factor in (2, 3)
    )
    project.revise(before)
    project.upgrade(before)
    project.execute(ROWS)
    written = project.revise(after)
    assert not any("REWRITE" in line or "LOSS" in line for line in comments(written[1]))
    project.upgrade(after)
    assert project.differences(after) == []
    project.downgrade(after, len(written))
    assert project.differences(before, without=written) == []
