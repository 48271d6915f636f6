"""Autogenerate sees a declared index change, and sees no change where there is none."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Index,
    MetaData,
    Table,
    Text,
    create_engine,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.pool import NullPool

from pgmodern import autogenerate
from pgmodern.engine import reflect_vectors
from pgmodern.environment import is_application_s
from pgmodern.indexes import (
    DeclaredIndex,
    FullTextIndex,
    HnswIndex,
    JsonbIndex,
    JsonbKeyIndex,
    TrigramIndex,
)
from pgmodern.reference import audio, chat, fragrance, music
from pgmodern.types import Vector

Declare = Callable[[Table], DeclaredIndex]


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection to a database that has the extensions and the configuration."""
    autogenerate.register()
    engine = create_engine(empty_database_url, poolclass=NullPool)
    reflect_vectors(engine.dialect)
    with engine.connect() as connection:
        for name in ("vector", "pg_trgm", "unaccent"):
            connection.exec_driver_sql(f"CREATE EXTENSION {name}")
        connection.exec_driver_sql("CREATE TEXT SEARCH CONFIGURATION simple_unaccent (COPY=simple)")
        yield connection


def songs(schema: str | None = None, name: str = "songs", title: str = "title") -> Table:
    """Return a table with a column for every kind of index."""
    return Table(
        name,
        MetaData(),
        Column("id", BigInteger, primary_key=True),
        Column(title, Text, key="title"),
        Column("album", Text),
        Column("found", TSVECTOR),
        Column("more", JSONB),
        Column("small", Vector(8)),
        Column("large", Vector(2048)),
        schema=schema,
    )


def changes(
    connection: Connection, metadata: MetaData | list[MetaData], **options: Any
) -> list[tuple[str, str]]:
    """Return what autogenerate would do about each index."""
    context = MigrationContext.configure(
        connection, opts={"include_name": is_application_s} | options
    )
    given: Any = metadata  # Alembic takes several, its stub does not
    found = [change for change in compare_metadata(context, given) if change[0] in KINDS_OF_CHANGE]
    return [(kind, str(subject.name)) for kind, subject in found]


KINDS_OF_CHANGE = {"add_index", "remove_index"}
REBUILD = [("remove_index", "ix"), ("add_index", "ix")]
KINDS: dict[str, Declare] = {
    "trigram": lambda t: TrigramIndex("ix", t.c.title),
    "partial trigram": lambda t: TrigramIndex("ix", t.c.title, where=t.c.album == "50%: 'a'"),
    "full text, stored": lambda t: FullTextIndex("ix", [(t.c.title, "A")], stored=t.c.found),
    "full text": lambda t: FullTextIndex("ix", [(t.c.title, "A"), (t.c.album, "B")]),
    "document": lambda t: JsonbIndex("ix", t.c.more),
    "text key": lambda t: JsonbKeyIndex("ix", t.c.more, 'it\'s a %key: "x"'),
    "number key": lambda t: JsonbKeyIndex("ix", t.c.more, "year", kind="number"),
    "vector": lambda t: HnswIndex("ix", t.c.small),
    "vector, l2": lambda t: HnswIndex("ix", t.c.small, metric="l2", m=8, ef_construction=32),
    "vector, as halfvec": lambda t: HnswIndex("ix", t.c.small, as_halfvec=True),
    "large vector": lambda t: HnswIndex("ix", t.c.large, metric="inner_product"),
}


@pytest.mark.contrib
@pytest.mark.vector
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_that_is_as_declared_is_left_alone(connection: Connection, kind: str) -> None:
    table = songs()
    KINDS[kind](table)
    table.create(connection)
    assert changes(connection, table.metadata) == []


@pytest.mark.contrib
@pytest.mark.vector
@pytest.mark.quick
@pytest.mark.parametrize(("kind", "other"), list(pairwise([*KINDS, "trigram"])))
def test_an_index_that_is_another_kind_is_built_anew(
    connection: Connection, kind: str, other: str
) -> None:
    before, after = songs(), songs()
    KINDS[kind](before)
    KINDS[other](after)
    before.create(connection)
    assert changes(connection, after.metadata) == REBUILD


@pytest.mark.contrib
@pytest.mark.vector
@pytest.mark.parametrize(
    ("kind", "built"),
    [
        ("trigram", "USING gist (title gist_trgm_ops)"),
        ("trigram", "USING gin (album gin_trgm_ops)"),
        ("trigram", "USING gin (title gin_trgm_ops) WHERE album IS NULL"),
        ("trigram", "USING gin (title gin_trgm_ops) WITH (fastupdate = off)"),
        ("trigram", "USING gin (lower(title) gin_trgm_ops)"),
        ("trigram", "USING btree (title)"),
        ("partial trigram", "USING gin (title gin_trgm_ops)"),
        ("partial trigram", "USING gin (title gin_trgm_ops) WHERE album = '50%: a'"),
        ("document", "USING gin (more)"),
        ("document", "USING gin (more jsonb_path_ops, found)"),
        ("text key", "((more ->> 'year'))"),
        ("number key", "(((more ->> 'year')::numeric))"),
        ("full text, stored", "USING gist (found)"),
        ("full text", "USING gin (to_tsvector('public.simple_unaccent', title))"),
        ("vector", "USING hnsw (small vector_l2_ops) WITH (m = 16, ef_construction = 128)"),
        ("vector", "USING hnsw (small vector_cosine_ops) WITH (m = 8, ef_construction = 128)"),
        ("vector", "USING hnsw (small vector_cosine_ops)"),
        ("vector", "USING ivfflat (small vector_cosine_ops)"),
        (
            "large vector",
            "USING hnsw ((large::halfvec(2048)) halfvec_l2_ops) "
            "WITH (m = 16, ef_construction = 128)",
        ),
    ],
)
def test_each_kind_of_difference_is_seen(connection: Connection, kind: str, built: str) -> None:
    table = songs()
    table.create(connection)
    connection.exec_driver_sql(f"CREATE INDEX ix ON songs {built}".replace("%", "%%"))
    KINDS[kind](table)
    assert changes(connection, table.metadata) == REBUILD


@pytest.mark.contrib
@pytest.mark.vector
def test_a_missing_index_is_added_and_a_stray_one_removed(connection: Connection) -> None:
    table = songs()
    table.create(connection)
    connection.exec_driver_sql("CREATE INDEX stray ON songs (album)")
    TrigramIndex("ix", table.c.title)
    assert sorted(changes(connection, table.metadata)) == [
        ("add_index", "ix"),
        ("remove_index", "stray"),
    ]


@pytest.mark.contrib
@pytest.mark.vector
def test_an_invalid_index_is_wanted_again(connection: Connection) -> None:
    table = songs()
    TrigramIndex("ix", table.c.title)
    table.create(connection)
    connection.exec_driver_sql(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix'::regclass"
    )
    assert ("add_index", "ix") in changes(connection, table.metadata)


@pytest.mark.contrib
@pytest.mark.vector
@pytest.mark.quick
def test_an_index_over_a_column_that_is_to_come_is_built_anew(connection: Connection) -> None:
    before, after = songs(), songs()
    TrigramIndex("ix", before.c.title)
    before.create(connection)
    after.append_column(Column("lyrics", Text))
    TrigramIndex("ix", after.c.lyrics)
    context = MigrationContext.configure(connection)
    found = {str(change[0]) for change in compare_metadata(context, after.metadata)}
    assert found == {"add_column", "remove_index", "add_index"}


@pytest.mark.contrib
@pytest.mark.vector
def test_other_indexes_are_compared_as_alembic_does(connection: Connection) -> None:
    table = songs()
    Index("plain", table.c.album, table.c.title)
    Index("partial", table.c.album, postgresql_where=text("album > ''"))
    table.create(connection)
    assert changes(connection, table.metadata) == []
    after = songs()
    Index("plain", after.c.title, after.c.album)
    Index("partial", after.c.album, unique=True)
    found = changes(connection, after.metadata)
    assert sorted(found) == [
        ("add_index", "partial"),
        ("add_index", "plain"),
        ("remove_index", "partial"),
        ("remove_index", "plain"),
    ]


@pytest.mark.contrib
@pytest.mark.vector
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_may_be_in_another_schema_and_have_odd_names(
    connection: Connection, kind: str
) -> None:
    connection.exec_driver_sql('CREATE SCHEMA "Odd ""one"""')
    names = ('Odd "one"', 'the "Songs: 1%', "its Title: %s")
    table = songs(*names)
    KINDS[kind](table)
    table.create(connection)
    options = {"include_schemas": True, "include_name": lambda *_: True}
    assert changes(connection, table.metadata, **options) == []
    other = songs(*names)
    JsonbKeyIndex("ix", other.c.more, "another")
    assert changes(connection, other.metadata, **options) == REBUILD


EVERY = [each.Base.metadata for each in (music, chat, audio, fragrance)]


def test_the_models_are_what_the_migrations_build(migrated_database_url: URL) -> None:
    autogenerate.register()
    engine = create_engine(migrated_database_url, poolclass=NullPool)
    reflect_vectors(engine.dialect)
    with engine.connect() as connection:
        assert changes(connection, EVERY) == []
