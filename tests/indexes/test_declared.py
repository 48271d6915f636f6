"""An index is declared once, however its column was come by."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Index,
    MetaData,
    Table,
    Text,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex

from pgmodern.engine import create_engine
from pgmodern.errors import DeclarationError
from pgmodern.extensions import PG_TRGM, UNACCENT, VECTOR
from pgmodern.indexes import (
    DeclaredIndex,
    FullTextIndex,
    HnswIndex,
    JsonbIndex,
    JsonbKeyIndex,
    TrigramIndex,
    required_extensions,
)
from pgmodern.types import HalfVector, SparseVector, Vector

DIALECT = create_engine("postgresql://nowhere").dialect


class Base(DeclarativeBase):
    """The metadata of this file."""


class Product(Base):
    """A column for each kind of index; some have names that need care."""

    __tablename__ = "odd % products"

    part: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column("na'me %s", Text)
    album: Mapped[str | None] = mapped_column(Text)
    document: Mapped[Any] = mapped_column(JSONB)
    words: Mapped[str | None] = mapped_column(TSVECTOR)
    full: Mapped[Any] = mapped_column(Vector(3))
    long: Mapped[Any] = mapped_column(Vector(2001))
    half: Mapped[Any] = mapped_column(HalfVector(4000))

    name_trgm = TrigramIndex("ix_name", name)
    some_trgm = TrigramIndex("ix_some", album, where=(part > 3) & (name != "it's 100%"))
    full_hnsw = HnswIndex("ix_full", full)
    full_l2 = HnswIndex("ix_full_l2", full, metric="l2", m=8, ef_construction=32)
    full_halved = HnswIndex("ix_halved", full, metric="inner_product", as_halfvec=True)
    long_hnsw = HnswIndex("ix_long", long, where=part == 1)
    half_hnsw = HnswIndex("ix_half", half, metric="l2")
    stored = FullTextIndex("ix_stored", [(name, "A"), (album, "B")], stored=words)
    computed = FullTextIndex("ix_computed", [(name, "A"), (album, "D")])
    german = FullTextIndex("ix_german", [(album, "C")], configuration="pg_catalog.german")
    json = JsonbIndex("ix_json", document)
    genre = JsonbKeyIndex("ix_genre", document, "gen're %s", where=album.is_not(None))
    year = JsonbKeyIndex("ix_year", document, "year", kind="number")


TABLE = '"odd %% products"'
DECLARED: list[tuple[DeclaredIndex, str]] = [
    (Product.name_trgm, 'USING gin ("na\'me %%s" gin_trgm_ops)'),
    (
        Product.some_trgm,
        "USING gin (album gin_trgm_ops) WHERE part > 3 AND \"na'me %%s\" != 'it''s 100%%'",
    ),
    (
        Product.full_hnsw,
        'USING hnsw ("full" vector_cosine_ops) WITH (m = 16, ef_construction = 128)',
    ),
    (Product.full_l2, 'USING hnsw ("full" vector_l2_ops) WITH (m = 8, ef_construction = 32)'),
    (
        Product.full_halved,
        'USING hnsw (CAST("full" AS HALFVEC(3)) halfvec_ip_ops) '
        "WITH (m = 16, ef_construction = 128)",
    ),
    (
        Product.long_hnsw,
        "USING hnsw (CAST(long AS HALFVEC(2001)) halfvec_cosine_ops) "
        "WITH (m = 16, ef_construction = 128) WHERE part = 1",
    ),
    (Product.half_hnsw, "USING hnsw (half halfvec_l2_ops) WITH (m = 16, ef_construction = 128)"),
    (Product.stored, "USING gin (words)"),
    (
        Product.computed,
        "USING gin ((setweight(to_tsvector(CAST('public.simple_unaccent' AS REGCONFIG), "
        "left(coalesce(\"na'me %%s\", ''), 100000)), 'A') || "
        "setweight(to_tsvector(CAST('public.simple_unaccent' AS REGCONFIG), "
        "left(coalesce(album, ''), 100000)), 'D')))",
    ),
    (
        Product.german,
        "USING gin (setweight(to_tsvector(CAST('pg_catalog.german' AS REGCONFIG), "
        "left(coalesce(album, ''), 200000)), 'C'))",
    ),
    (Product.json, "USING gin (document jsonb_path_ops)"),
    (
        Product.genre,
        "USING btree (left(document ->> 'gen''re %%s', 256)) WHERE album IS NOT NULL",
    ),
    (
        Product.year,
        "USING btree ((CASE WHEN (jsonb_typeof(document -> 'year') = 'number' "
        "AND length(document ->> 'year') <= 100) "
        "THEN CAST(document ->> 'year' AS NUMERIC) END))",
    ),
]


def _ddl(index: Index) -> str:
    return " ".join(str(CreateIndex(index).compile(dialect=DIALECT)).split())


@pytest.mark.parametrize(("index", "definition"), DECLARED, ids=lambda each: str(each)[:40])
def test_create_index_comes_from_the_declaration(index: DeclaredIndex, definition: str) -> None:
    assert _ddl(index) == f"CREATE INDEX {index.name} ON {TABLE} {definition}"


def test_postgresql_builds_every_one_of_them(session: Session) -> None:
    Base.metadata.create_all(session.connection())
    built = session.scalars(
        text(
            "SELECT indexrelid::regclass::text FROM pg_index "
            "JOIN pg_class ON pg_class.oid = indrelid "
            "WHERE relname = :table AND indisvalid AND NOT indisprimary"
        ),
        {"table": Product.__tablename__},
    )
    assert set(built) == {index.name for index, _ in DECLARED}


def test_create_all_sends_what_indexes_need_once(session: Session) -> None:
    metadata, sent = MetaData(), Counter[str]()
    for name in ("songs", "albums"):
        table = Table(name, metadata, Column("title", Text), Column("text", Text))
        for column in table.c:
            TrigramIndex(f"ix_{name}_{column.name}", column)
            FullTextIndex(f"ix_{name}_{column.name}_words", [(column, "A")])
    connection = session.connection()
    event.listen(connection, "before_cursor_execute", lambda *given: sent.update([given[2]]))
    needed = re.compile("EXTENSION|CONFIGURATION")
    creates: list[Callable[[Connection], None]] = [metadata.create_all]
    creates += [table.create for table in metadata.sorted_tables]
    for create in creates:
        sent.clear()
        create(connection)
        assert [sent[each] for each in sent if needed.search(each)] == [1, 1, 1]
        metadata.drop_all(connection)


def test_create_all_has_the_types_of_columns_without_an_index(empty_database_url: URL) -> None:
    metadata = MetaData()
    Table("a", metadata, Column("embedding", SparseVector(3)))
    songs = Table("songs", metadata, Column("title", Text), Column("embedding", HALFVEC(3)))
    TrigramIndex("ix_title", songs.c.title)
    with create_engine(empty_database_url, poolclass=NullPool).connect() as connection:
        for create in (songs.create, metadata.create_all):
            create(connection)
            connection.rollback()


def test_the_key_is_the_table_s_whole_primary_key() -> None:
    assert Product.year.key == (Product.__table__.c.part, Product.__table__.c.number)


def test_an_index_without_a_condition_adds_none_to_a_query() -> None:
    assert Product.name_trgm.conditions == ()


def test_a_condition_is_written_into_the_statement_so_that_a_generic_plan_proves_it() -> None:
    (condition,) = Product.some_trgm.conditions
    compiled = (
        select(Product.part)
        .where(condition)
        .compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    )
    assert compiled.params == {}
    assert "> 3 AND" in str(compiled)
    assert "!= 'it''s 100%%'" in str(compiled)


def test_a_condition_is_not_changed_by_being_asked_for() -> None:
    for _ in range(2):
        assert _ddl(Product.some_trgm).endswith("!= 'it''s 100%%'")
        assert len(Product.some_trgm.conditions) == 1


def _table() -> Table:
    return Table(
        "core",
        MetaData(),
        Column("id", BigInteger, primary_key=True),
        Column("odd name", Text, key="name"),
        Column("vector", Vector(3), key="embedding"),
    )


def test_the_column_may_be_one_of_a_table() -> None:
    table = _table()
    trigrams = TrigramIndex("ix_name", table.c.name)
    vectors = HnswIndex("ix_vector", table.c.embedding)
    assert _ddl(trigrams) == 'CREATE INDEX ix_name ON core USING gin ("odd name" gin_trgm_ops)'
    assert "USING hnsw (vector vector_cosine_ops)" in _ddl(vectors)
    assert trigrams.parent is table
    assert trigrams in table.indexes


def test_the_column_may_be_handed_to_a_table_later() -> None:
    column = Column("name", Text)
    index = TrigramIndex("ix_name", column)
    with pytest.raises(DeclarationError, match="of no table"):
        _ = index.parent
    table = Table("late", MetaData(), Column("id", BigInteger, primary_key=True), column, index)
    assert index.parent is table
    assert "(name gin_trgm_ops)" in _ddl(index)


def test_the_column_may_be_a_mapped_one() -> None:
    class Other(DeclarativeBase):
        pass

    class Song(Other):
        __tablename__ = "songs"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column("the title", Text)
        vector: Mapped[Any] = mapped_column(Vector(3))

    title = TrigramIndex("ix_title", Song.title)
    assert _ddl(title) == 'CREATE INDEX ix_title ON songs USING gin ("the title" gin_trgm_ops)'
    vector = HnswIndex("ix_vector", Song.vector)
    assert "USING hnsw (vector vector_cosine_ops)" in _ddl(vector)
    assert vector.key == (Song.__table__.c.id,)


def test_the_column_may_be_an_expression() -> None:
    table = _table()
    index = TrigramIndex("ix_lower", func.lower(table.c.name).label("lowered"))
    assert _ddl(index).endswith('USING gin (lower("odd name") gin_trgm_ops)')


def test_a_copied_table_has_the_same_indexes() -> None:
    copied = Base.metadata.tables[Product.__tablename__].to_metadata(MetaData())
    definitions = {index.name: _ddl(index) for index in copied.indexes}
    assert definitions == {index.name: _ddl(index) for index, _ in DECLARED}


@pytest.mark.quick
def test_the_extensions_follow_from_indexes_and_columns() -> None:
    assert required_extensions(Base.metadata) == {VECTOR, PG_TRGM, UNACCENT}
    plain = MetaData()
    Table("plain", plain, Column("id", BigInteger, primary_key=True), Column("name", Text))
    assert required_extensions(plain) == set()
    unindexed = MetaData()
    Table("unindexed", unindexed, Column("v", HalfVector(3)))
    assert required_extensions(unindexed) == {VECTOR}
    assert required_extensions([plain, unindexed]) == {VECTOR}
    document = MetaData()
    JsonbIndex("ix", Table("documents", document, Column("d", JSONB)).c.d)
    assert required_extensions(document) == set()
