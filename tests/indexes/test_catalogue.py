"""Indexes compared as PostgreSQL holds them: every real difference is found, and no other."""

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import UniqueViolation
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    func,
    text,
)
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex

from pgmodern.errors import MigrationError
from pgmodern.indexes.catalogue import declared, differences, existing
from pgmodern.quoting import quoted
from pgmodern.reference import audio, chat, fragrance, music

Connect = Callable[[URL], psycopg.Connection]
INDEXES = [
    index
    for schema in (music, chat, audio, fragrance)
    for table in schema.Base.metadata.sorted_tables
    for index in sorted(table.indexes, key=lambda each: str(each.name))
]


def songs(schema: str | None = None, name: str = "songs") -> Table:
    """Return a table of whose indexes the tests speak."""
    columns = (Column("id", Integer), Column("title", Text), Column("album", Text))
    return Table(name, MetaData(), *columns, schema=schema)


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection to a database with that table."""
    engine = create_engine(empty_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        songs().create(connection)
        yield connection


@pytest.mark.parametrize("index", INDEXES, ids=[str(index.name) for index in INDEXES])
def test_each_index_of_the_models_is_what_the_migrations_built(
    migrated_database_url: URL, index: Index
) -> None:
    engine = create_engine(migrated_database_url, poolclass=NullPool)
    with engine.connect() as connection:
        assert differences(connection, index) == []
        assert existing(connection, str(index.name)) == declared(connection, index)


@pytest.mark.quick
def test_the_models_declare_every_index_that_the_migrations_build(
    migrated_database_url: URL,
) -> None:
    engine = create_engine(migrated_database_url, poolclass=NullPool)
    with engine.connect() as connection:
        built = connection.exec_driver_sql(
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON oid = indrelid "
            "WHERE relnamespace = 'public'::regnamespace AND NOT relispartition "
            "AND NOT indisunique AND NOT indisexclusion"
        )
        assert set(built.scalars()) == {str(index.name) for index in INDEXES}


DIFFERENT = {
    "CREATE INDEX ix ON songs (album)": ["columns"],
    "CREATE INDEX ix ON songs (lower(title))": ["columns"],
    "CREATE INDEX ix ON songs (title, album)": ["key_columns", "columns", "opclasses"],
    "CREATE INDEX ix ON songs (title) INCLUDE (album)": ["columns"],
    "CREATE INDEX ix ON songs (title DESC)": ["options"],
    "CREATE INDEX ix ON songs (title NULLS FIRST)": ["options"],
    'CREATE INDEX ix ON songs (title COLLATE "C")': ["collations"],
    "CREATE INDEX ix ON songs (title text_pattern_ops)": ["opclasses"],
    "CREATE INDEX ix ON songs (title) WITH (fillfactor = 70)": ["parameters"],
    "CREATE INDEX ix ON songs (title) WHERE album IS NOT NULL": ["predicate"],
    "CREATE INDEX ix ON songs USING hash (title)": ["method"],
    "CREATE UNIQUE INDEX ix ON songs (title)": ["is_unique"],
    "CREATE UNIQUE INDEX ix ON songs (title) NULLS NOT DISTINCT": [
        "is_unique",
        "nulls_not_distinct",
    ],
}


@pytest.mark.parametrize("built", DIFFERENT)
def test_each_kind_of_difference_is_found_and_named(connection: Connection, built: str) -> None:
    index = Index("ix", songs().c.title)
    connection.exec_driver_sql(built)
    found = differences(connection, index)
    assert {difference.partition(":")[0] for difference in found} >= set(DIFFERENT[built])


@pytest.mark.parametrize(
    ("there", "wanted"),
    [("", "(siglen=32)"), ("(siglen=32)", ""), ("(siglen=32)", "(siglen=64)")],
)
def test_parameters_of_an_operator_class_are_compared_and_shown(
    connection: Connection, there: str, wanted: str
) -> None:
    connection.exec_driver_sql("CREATE EXTENSION pg_trgm")
    build = "CREATE INDEX ix ON songs USING gist (id_text gist_trgm_ops, title gist_trgm_ops{})"
    connection.exec_driver_sql("ALTER TABLE songs ADD id_text text")
    connection.exec_driver_sql(build.format(there))
    table = songs()
    table.append_column(Column("id_text", Text))

    def declare(parameters: str) -> Index:
        ops = {"id_text": "gist_trgm_ops", "title": f"gist_trgm_ops{parameters}"}
        columns = table.c.id_text, table.c.title
        return Index("ix", *columns, postgresql_using="gist", postgresql_ops=ops)

    assert differences(connection, declare(there)) == []
    shown = [["", each.strip("()")] for each in (there, wanted)]
    assert differences(connection, declare(wanted)) == [
        f"opclass_parameters: {shown[0]} instead of {shown[1]}"
    ]


def test_the_order_of_columns_is_a_difference(connection: Connection) -> None:
    table = songs()
    connection.exec_driver_sql("CREATE INDEX ix ON songs (album, title)")
    assert differences(connection, Index("ix", table.c.title, table.c.album))


def test_a_missing_index_is_a_difference(connection: Connection) -> None:
    assert differences(connection, Index("ix", songs().c.title)) == ["missing"]


def test_an_invalid_index_is_a_difference(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO songs (title) VALUES ('twice'), ('twice')")
    index = Index("ix", songs().c.title, unique=True, postgresql_concurrently=True)
    with pytest.raises(Exception, match="duplicate") as caught:
        connection.execute(CreateIndex(index))
    assert isinstance(caught.value.__cause__, UniqueViolation)
    plain = Index("ix", songs().c.title, unique=True)
    assert differences(connection, plain) == ["is_valid: False instead of True"]


def test_an_index_of_another_table_is_not_the_declared_one(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE others (title text)")
    connection.exec_driver_sql("CREATE INDEX ix ON others (title)")
    assert differences(connection, Index("ix", songs().c.title))


def test_a_table_of_that_name_is_no_index(connection: Connection) -> None:
    assert existing(connection, "songs") is None


@pytest.mark.quick
def test_what_the_database_cannot_build_yet_is_a_difference(connection: Connection) -> None:
    table = songs()
    table.append_column(Column("lyrics", Text))
    connection.exec_driver_sql("CREATE INDEX ix ON songs (title)")
    assert differences(connection, Index("ix", table.c.lyrics))
    unknown = Index("ix", table.c.title, postgresql_ops={"title": "nothing_ops"})
    assert differences(connection, unknown)
    assert connection.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.parametrize(
    ("built", "index"),
    [
        ("(lower( title ))", lambda t: [func.lower(t.c.title)]),
        ("((title || 'x'))", lambda _: [text("(title||'x'::text)")]),
        ("(title text_ops ASC NULLS LAST)", lambda t: [t.c.title]),
        ("(title, id)", lambda t: [t.c.title, t.c.id]),
        ("USING btree (title DESC NULLS FIRST)", lambda t: [t.c.title.desc()]),
    ],
)
def test_what_only_looks_different_is_the_same(
    connection: Connection, built: str, index: Callable[[Table], list[Column[str]]]
) -> None:
    connection.exec_driver_sql(f"CREATE INDEX ix ON songs {built}")
    table = songs()
    wanted = Index("ix", *index(table), _table=table)
    assert differences(connection, wanted) == []


@pytest.mark.parametrize(
    ("built", "where"),
    [
        ("album IN ('a', 'b')", "album = ANY (ARRAY['a', 'b'])"),
        ("id > 1 AND album = 'it''s'", "((id>1)) and album='it''s'::text"),
    ],
)
def test_a_predicate_is_compared_by_its_meaning_to_the_server(
    connection: Connection, built: str, where: str
) -> None:
    connection.exec_driver_sql(f"CREATE INDEX ix ON songs (title) WHERE {built}")
    index = Index("ix", songs().c.title, postgresql_where=text(where))
    assert differences(connection, index) == []


def test_looking_takes_no_lock_that_a_reader_does_not_take(
    empty_database_url: URL, connection: Connection, connect: Connect
) -> None:
    writer = connect(empty_database_url)
    connection.exec_driver_sql("SET lock_timeout = '2s'")
    with writer.transaction():
        writer.execute("LOCK TABLE songs IN EXCLUSIVE MODE")
        assert declared(connection, Index("ix", songs().c.title)).method == "btree"


def test_looking_leaves_nothing_behind(connection: Connection) -> None:
    declared(connection, Index("ix", songs().c.title))
    left = "SELECT count(*) FROM pg_class WHERE relname IN ('ix', 'songs')"
    assert connection.exec_driver_sql(left).scalar() == 1


@pytest.fixture
def owner(empty_database_url: URL, connection: Connection) -> Iterator[Connection]:
    """A connection of the table's owner, who may make no temporary table."""
    role, database = f"pgmodern_{uuid.uuid4().hex}", empty_database_url.database
    connection.exec_driver_sql(f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC')
    connection.exec_driver_sql(f"CREATE ROLE {role}; ALTER TABLE songs OWNER TO {role}")
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.connect() as owner:
        owner.exec_driver_sql(f"SET ROLE {role}")
        yield owner
    connection.exec_driver_sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_an_owner_who_may_make_no_temporary_table_can_look(
    connection: Connection, owner: Connection
) -> None:
    connection.exec_driver_sql("CREATE INDEX ix ON songs (lower(title))")
    connection.exec_driver_sql("CREATE SCHEMA first")
    connection.exec_driver_sql("GRANT CREATE ON SCHEMA public TO PUBLIC")
    owner.exec_driver_sql("SET search_path = first, public")
    assert differences(owner, Index("ix", func.lower(songs().c.title))) == []
    assert differences(owner, Index("ix", func.upper(songs().c.title))) != []
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'pgmodern%%'"
    assert owner.exec_driver_sql(left).scalar() == 0


@pytest.mark.quick
def test_a_role_that_may_make_no_table_at_all_is_told_what_it_needs(
    connection: Connection, owner: Connection
) -> None:
    connection.exec_driver_sql("CREATE INDEX ix ON songs (title)")
    with pytest.raises(MigrationError, match="GRANT it TEMPORARY on the database"):
        differences(owner, Index("ix", songs().c.title))


def test_an_expression_may_name_its_table(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE INDEX ix ON songs (num_nulls(songs.title))")
    index = Index("ix", text("num_nulls(songs.title)"), _table=songs())
    assert differences(connection, index) == []


def test_looking_in_a_transaction_leaves_the_transaction(
    empty_database_url: URL, connection: Connection
) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.begin() as inside:
        inside.exec_driver_sql("CREATE TABLE mine ()")
        declared(inside, Index("ix", songs().c.title))
    assert connection.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0


def test_a_table_may_be_in_another_schema_and_have_an_odd_name(connection: Connection) -> None:
    connection.exec_driver_sql('CREATE SCHEMA "Odd ""one"": 1%%"')
    table = songs('Odd "one": 1%', "the Songs: %s")
    table.create(connection)
    index = Index('ix "of": %s', table.c.title)
    assert differences(connection, index) == ["missing"]
    index.create(connection)
    assert differences(connection, index) == []
    other = Index('ix "of": %s', songs('Odd "one": 1%', "the Songs: %s").c.album)
    assert differences(connection, other) != []
    assert existing(connection, 'ix "of": %s') is None
    assert existing(connection, 'ix "of": %s', 'Odd "one": 1%') is not None


def test_a_search_path_that_names_pg_temp_last_does_not_matter(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE INDEX ix ON songs (title)")
    connection.exec_driver_sql("SET search_path = public, pg_temp")
    assert differences(connection, Index("ix", songs().c.title)) == []


names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names, names)
def test_any_name_can_be_quoted(connection: Connection, name: str, schema: str) -> None:
    parse = text("SELECT parse_ident(:name)")
    assert connection.scalar(parse, {"name": quoted(name)}) == [name]
    assert connection.scalar(parse, {"name": quoted(name, schema)}) == [schema, name]
