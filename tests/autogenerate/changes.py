"""A catalogue of changes of a model, each from one declaration to another and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pgvector.sqlalchemy import BIT, HALFVEC, SPARSEVEC, VECTOR
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Interval,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.types import TypeEngine

from pgmodern.extensions import Extension
from pgmodern.indexes import (
    FullTextIndex,
    HnswIndex,
    JsonbIndex,
    JsonbKeyIndex,
    TrigramIndex,
)
from pgmodern.indexes.hnsw import Metric
from pgmodern.types import Bit, HalfVector, SparseVector, Vector

Adding = Callable[[Table], object]

ROWS = """
    INSERT INTO songs (title, plays, price, more)
    SELECT 'Song ' || number, number, number / 7.0, jsonb_build_object('year', 1900 + number)
    FROM generate_series(1, 20) AS number
"""


@dataclass(frozen=True)
class Change:
    """Two declarations; rows that the table holds, and whether what is undeclared is dropped."""

    before: MetaData
    after: MetaData
    rows: str = ROWS
    drop_undeclared: bool = False
    one_way: bool = False


def songs(*adding: Adding, without: tuple[str, ...] = (), **options: Any) -> MetaData:
    """Return the metadata of a table, with what is added to it; it needs no extension."""
    metadata = MetaData()
    columns: list[Column[Any]] = [
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("title", Text, nullable=False),
        Column("album", Text),
        Column("plays", Integer, nullable=False, server_default=text("0")),
        Column("price", Numeric(10, 2)),
        Column("released", Date),
        Column("more", JSONB),
        Column("tags", ARRAY(Text)),
    ]
    kept = [column for column in columns if column.name not in without]
    table = Table("songs", metadata, *kept, **options)
    for add in adding:
        add(table)
    return metadata


def index(*expressions: Any, name: str = "ix", parameters: Any = None, **options: Any) -> Adding:
    """Add an index; an expression may be a function of the table's columns."""
    given = {"postgresql_with": parameters} if parameters else {}
    given |= {
        key if key == "unique" else f"postgresql_{key}": value for key, value in options.items()
    }

    def add(table: Table) -> Index:
        columns: list[Any] = [
            table.c[each] if isinstance(each, str) else each(table.c) if callable(each) else each
            for each in expressions
        ]
        made = Index(name, *columns, **given)
        if made.table is None:  # of SQL alone
            Table(table.name, table.metadata, made, extend_existing=True)
        return made

    return add


def column(*given: Any, **options: Any) -> Adding:
    """Add a column."""
    return lambda table: table.append_column(Column(*given, **options))


def check(condition: str, name: str | None = "positive", **options: Any) -> Adding:
    """Add a CHECK constraint."""
    return lambda table: table.append_constraint(CheckConstraint(condition, name=name, **options))


def unique(*columns: str, **options: Any) -> Adding:
    """Add a UNIQUE constraint."""
    return lambda table: table.append_constraint(UniqueConstraint(*columns, name="uq", **options))


def reference(**options: Any) -> Adding:
    """Add a foreign key to the table itself."""
    return lambda table: table.append_constraint(
        ForeignKeyConstraint(["plays"], ["songs.id"], name="fk", **options)
    )


def words(
    *sources: tuple[str, Any], configuration: str = "public.simple_unaccent", stored: bool = True
) -> Adding:
    """Add a full-text index, over a column that a trigger keeps."""

    def add(table: Table) -> FullTextIndex:
        if stored and "found" not in table.c:
            table.append_column(Column("found", TSVECTOR))
        return FullTextIndex(
            "ix_found",
            [(table.c[name], weight) for name, weight in sources],
            stored=table.c.found if stored else None,
            configuration=configuration,
        )

    return add


SMALL = column("small", Vector(8))


def near(**options: Any) -> Adding:
    """Add an HNSW index."""
    return lambda table: HnswIndex("ix_small", table.c.small, **options)


def vectors(*kinds: TypeEngine[Any], metrics: Sequence[Metric | None] = ()) -> Adding:
    """Add a column of each type, and an HNSW index by each metric on the column in its place."""

    def add(table: Table) -> None:
        for number, kind in enumerate(kinds):
            table.append_column(Column(f"vector_{number}", kind))
        for number, metric in enumerate(metrics):
            HnswIndex(f"ix_{number}", table.c[f"vector_{number}"], metric=metric)

    return add


def also(name: str, *items: Any, **options: Any) -> Adding:
    """Add another table."""
    return lambda table: Table(
        name, table.metadata, Column("id", BigInteger, primary_key=True), *items, **options
    )


def comment(said: str) -> Adding:
    """Give the table a comment."""

    def add(table: Table) -> None:
        table.comment = said

    return add


class Duration(TypeDecorator[Any]):
    """A type of an application's own."""

    impl = Interval
    cache_ok = True


def also_of(type_: Any) -> Adding:
    """Add two tables, one of which refers to the other and to itself."""

    def add(table: Table) -> None:
        key = Column("id", type_, primary_key=True)
        itself = Column("parent_id", type_, ForeignKey("artists.id", name="fk_parent"))
        Table("artists", table.metadata, key, itself)
        Table(
            "albums",
            table.metadata,
            Column("id", BigInteger, primary_key=True),
            Column(
                "artist_id", type_, ForeignKey("artists.id", name="fk_artist", ondelete="CASCADE")
            ),
        )

    return add


def conventional() -> MetaData:
    """Return the metadata of names that a convention makes longer than 63 bytes."""
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        }
    )
    songs_ = songs().tables["songs"].to_metadata(metadata)
    long = "a_column_with_a_name_that_is_rather_long_and_then_some"
    songs_.append_column(Column(long, BigInteger, ForeignKey("songs.id"), index=True))
    songs_.append_constraint(UniqueConstraint(long))
    songs_.append_constraint(CheckConstraint(f"{long} > 0", name=long))
    return metadata


def notifies(info: Any) -> Adding:
    """Declare whom the table tells of changes."""
    return lambda table: table.info.update(change_notification=info)


def needs(*names: str) -> Adding:
    """Declare that the metadata needs extensions."""
    return lambda table: table.metadata.info.setdefault("extensions", []).extend(
        Extension(name) for name in names
    )


def plays(*, by: str | None) -> MetaData:
    """Return a table that can be partitioned."""
    metadata = MetaData()
    Table(
        "plays",
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("at", DateTime(timezone=True), primary_key=True, server_default=func.now()),
        Column("title", Text),
        Index("ix_plays_title", "title"),
        postgresql_partition_by=by,
    )
    return metadata


def lower(columns: Any) -> Any:
    """Return an expression of a table's columns."""
    return func.lower(columns.title)


KINDS = (SparseVector(8), Bit(8), HalfVector(8), VECTOR(8), SPARSEVEC(8))
ODD: ColumnElement[str] = literal_column("(more ->> ':it''s 100%')")


def everything(metadata: MetaData) -> None:
    """Add a table with one of each."""
    table = Table(
        'Odd "albums"',
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("its title", Text, key="title", nullable=False),
        Column("words", TSVECTOR),
        Column("more", JSONB),
        Column("cover", HalfVector(4)),
        Column("length", Integer, Computed('length("its title")', persisted=True)),
        CheckConstraint("\"its title\" <> '%: x'", name="titled"),
    )
    FullTextIndex("ix_words", [(table.c.title, "A")], stored=table.c.words)
    TrigramIndex("ix_trgm", table.c.title)
    JsonbKeyIndex("ix_key", table.c.more, "a: b", kind="number")
    HnswIndex("ix_cover", table.c.cover)


CHANGES = {
    # Indexes of any kind.
    "index": Change(songs(), songs(index("title"))),
    "index: method": Change(songs(index("title")), songs(index("title", using="hash"))),
    "index: method brin": Change(songs(index("id")), songs(index("id", using="brin"))),
    "index: operator class": Change(
        songs(index("title")), songs(index("title", ops={"title": "text_pattern_ops"}))
    ),
    "index: jsonb operator class": Change(
        songs(index("more", using="gin")),
        songs(index("more", using="gin", ops={"more": "jsonb_path_ops"})),
    ),
    "index: operator class parameters": Change(
        songs(needs("pg_trgm"), index("title", using="gist", ops={"title": "gist_trgm_ops"})),
        songs(
            needs("pg_trgm"),
            index("title", using="gist", ops={"title": "gist_trgm_ops(siglen=32)"}),
        ),
    ),
    "index: collation": Change(songs(index("title")), songs(index(lambda c: c.title.collate("C")))),
    "index: order of columns": Change(
        songs(index("title", "album")), songs(index("album", "title"))
    ),
    "index: one more column": Change(songs(index("title")), songs(index("title", "album"))),
    "index: descending": Change(songs(index("plays")), songs(index(lambda c: c.plays.desc()))),
    "index: nulls first": Change(
        songs(index("price")), songs(index(lambda c: c.price.nulls_first()))
    ),
    "index: descending, nulls last": Change(
        songs(index(lambda c: c.price.desc())),
        songs(index(lambda c: c.price.desc().nulls_last())),
    ),
    "index: one column of two descending": Change(
        songs(index("title", "plays")), songs(index("title", lambda c: c.plays.desc()))
    ),
    "index: unique": Change(songs(index("title")), songs(index("title", unique=True))),
    "index: nulls not distinct": Change(
        songs(index("title", "album", unique=True)),
        songs(index("title", "album", unique=True, nulls_not_distinct=True)),
    ),
    "index: include": Change(songs(index("title")), songs(index("title", include=["plays"]))),
    "index: other include": Change(
        songs(index("title", include=["plays"])),
        songs(index("title", include=["plays", "album"])),
    ),
    "index: where": Change(songs(index("title")), songs(index("title", where=text("plays > 0")))),
    "index: other where": Change(
        songs(index("title", where=text("plays > 0"))),
        songs(index("title", where=text("plays > 1 AND album <> 'x: 50%'"))),
    ),
    "index: fillfactor": Change(
        songs(index("title")), songs(index("title", parameters={"fillfactor": 70}))
    ),
    "index: fastupdate": Change(
        songs(index("tags", using="gin")),
        songs(index("tags", using="gin", parameters={"fastupdate": "off"})),
    ),
    "index: expression": Change(songs(index("title")), songs(index(lower))),
    "index: other expression": Change(
        songs(index(lower)), songs(index(lambda c: func.upper(c.title)))
    ),
    "index: two expressions": Change(
        songs(index(lower, "plays")), songs(index(lower, lambda c: func.abs(c.plays)))
    ),
    "index: expression with an operator class": Change(
        songs(index(lower)), songs(index(text("lower(title) text_pattern_ops")))
    ),
    "index: expression with odd characters": Change(songs(), songs(index(ODD))),
    "index: renamed": Change(songs(index("title")), songs(index("title", name="ix_other"))),
    "index: odd name": Change(songs(), songs(index("title", name='The "index": 100%'))),
    # Those that are declared once.
    "trigram": Change(songs(), songs(lambda t: TrigramIndex("ix", t.c.title))),
    "trigram: partial": Change(
        songs(lambda t: TrigramIndex("ix", t.c.title)),
        songs(lambda t: TrigramIndex("ix", t.c.title, where=t.c.album.is_not(None))),
    ),
    "trigram: of an expression": Change(
        songs(lambda t: TrigramIndex("ix", t.c.title)),
        songs(lambda t: TrigramIndex("ix", func.lower(t.c.title).label("lower"))),
    ),
    "hnsw": Change(songs(SMALL), songs(SMALL, near())),
    "hnsw: metric": Change(songs(SMALL, near()), songs(SMALL, near(metric="l2"))),
    "hnsw: parameters": Change(songs(SMALL, near()), songs(SMALL, near(m=8, ef_construction=64))),
    "hnsw: as halfvec": Change(songs(SMALL, near()), songs(SMALL, near(as_halfvec=True))),
    "hnsw: prefix": Change(songs(SMALL, near()), songs(SMALL, near(prefix=4))),
    "hnsw: quantised": Change(songs(SMALL, near(prefix=4)), songs(SMALL, near(quantised=True))),
    "document": Change(songs(), songs(lambda t: JsonbIndex("ix", t.c.more))),
    "document: partial": Change(
        songs(lambda t: JsonbIndex("ix", t.c.more)),
        songs(lambda t: JsonbIndex("ix", t.c.more, where=t.c.plays > 3)),
    ),
    "key": Change(songs(), songs(lambda t: JsonbKeyIndex("ix", t.c.more, "it's :a %key"))),
    "key: kind": Change(
        songs(lambda t: JsonbKeyIndex("ix", t.c.more, "year")),
        songs(lambda t: JsonbKeyIndex("ix", t.c.more, "year", kind="number")),
    ),
    "full text of an expression": Change(songs(), songs(words(("title", "A"), stored=False))),
    "full text of an expression: sources": Change(
        songs(words(("title", "A"), stored=False)),
        songs(words(("title", "A"), ("album", "C"), stored=False)),
    ),
    "hnsw: columns of each kind": Change(
        songs(needs("vector")),
        songs(
            vectors(Bit(8), SparseVector(8), HALFVEC(8), SPARSEVEC(8), BIT(8), metrics=[None] * 5),
            column("several", ARRAY(HalfVector(2))),
        ),
    ),
    "hnsw: metrics of each kind": Change(
        songs(vectors(*KINDS, metrics=["l1", "hamming", "l2", "inner_product", "l1"])),
        songs(vectors(*KINDS, metrics=["cosine", "jaccard", "l1", "l2", "inner_product"])),
    ),
    # Search vectors.
    "search vector": Change(songs(), songs(words(("title", "A")))),
    "search vector: instead of the expression": Change(
        songs(words(("title", "A"), stored=False)), songs(words(("title", "A")))
    ),
    "search vector: one more source": Change(
        songs(words(("title", "A"))), songs(words(("title", "A"), ("album", "B")))
    ),
    "search vector: weights": Change(
        songs(words(("title", "A"), ("album", "B"))), songs(words(("title", "B"), ("album", "A")))
    ),
    "search vector: configuration": Change(
        songs(words(("title", "A"))),
        songs(words(("title", "A"), configuration="public.english_unaccent")),
    ),
    "search vector: a source that is new": Change(
        songs(words(("title", "A"))),
        songs(column("lyrics", Text), words(("title", "A"), ("lyrics", "D"))),
    ),
    "search vector: a source that goes": Change(
        songs(words(("title", "A"), ("album", "B"))),
        songs(words(("title", "A")), without=("album",)),
    ),
    # Notifications of changes.
    "notification": Change(songs(), songs(notifies(["id"])), one_way=True),
    "notification: keys": Change(songs(notifies(["id"])), songs(notifies(["id", "title"]))),
    "notification: channel": Change(
        songs(notifies(["id"])), songs(notifies({"keys": ["id"], "channel": "it's: 100%"}))
    ),
    "notification: of a table that comes and goes": Change(
        songs(), songs(also("artists", info={"change_notification": ["id"]}))
    ),
    # Extensions.
    "extension": Change(songs(), songs(needs("hstore")), one_way=True),
    # Generated columns.
    "generated": Change(
        songs(), songs(column("twice", Integer, Computed("plays * 2", persisted=True)))
    ),
    "generated: expression": Change(
        songs(column("twice", Numeric, Computed("price * 2", persisted=True))),
        songs(column("twice", Numeric, Computed("price * plays + 2", persisted=True))),
    ),
    "generated: from a plain column": Change(
        songs(column("twice", Integer)),
        songs(column("twice", Integer, Computed("plays * 2", persisted=True))),
    ),
    "generated: with an index": Change(
        songs(column("twice", Integer), index("twice")),
        songs(column("twice", Integer, Computed("plays * 2", persisted=True)), index("twice")),
    ),
    "generated: from a column with constraints": Change(
        songs(column("twice", Integer), check("twice > -1"), unique("twice")),
        songs(
            column("twice", Integer, Computed("plays * 2", persisted=True)),
            check("twice > -1"),
            unique("twice"),
        ),
    ),
    # CHECK constraints.
    "check": Change(songs(), songs(check("plays >= 0")), drop_undeclared=True),
    "check: condition": Change(songs(check("plays >= 0")), songs(check("plays > 0 OR price > 1"))),
    "check: of a member": Change(
        songs(check("title <> ''")), songs(check("title IN ('a', 'b') OR plays > 0"))
    ),
    "check: without a name": Change(
        songs(), songs(check("plays >= 0", name=None)), drop_undeclared=True
    ),
    "check: two without names": Change(
        songs(check("plays >= 0", name=None)),
        songs(check("plays >= 0", name=None), check("plays < price * 1000", name=None)),
        drop_undeclared=True,
    ),
    "check: validated": Change(
        songs(check("plays >= 0")),
        songs(check("plays < 1000", postgresql_not_valid=True)),
    ),
    "check: of an enumeration": Change(
        songs(
            column("kind", Enum("a", "b", name="kind", native_enum=False, create_constraint=True))
        ),
        songs(
            column(
                "kind", Enum("a", "b", "c", name="kind", native_enum=False, create_constraint=True)
            )
        ),
    ),
    # Columns and their types.
    "column": Change(songs(), songs(column("lyrics", Text))),
    "column: with a default": Change(
        songs(), songs(column("rating", Integer, nullable=False, server_default=text("5")))
    ),
    "column: with a default for each row": Change(
        songs(),
        songs(column("number", Integer, server_default=text("(random() * 100)::integer"))),
    ),
    "column: not null": Change(songs(), songs(column("number", Integer, nullable=False)), rows=""),
    "column: with an index": Change(songs(), songs(column("lyrics", Text), index("lyrics"))),
    "column: comment": Change(songs(), songs(column("lyrics", Text, comment="it's 100%: sung"))),
    "not null": Change(
        songs(without=("released",)),
        songs(column("released", Date, nullable=False), without=("released",)),
        rows="",
    ),
    "not null: of a column that is there": Change(
        songs(column("kind", Text, server_default=text("'x'"))),
        songs(column("kind", Text, nullable=False, server_default=text("'x'"))),
    ),
    "type: wider integer": Change(
        songs(column("number", Integer)), songs(column("number", BigInteger))
    ),
    "type: longer text": Change(
        songs(column("code", String(10))), songs(column("code", String(20)))
    ),
    "type: text": Change(songs(column("code", String(10))), songs(column("code", Text))),
    "type: precision": Change(
        songs(column("rate", Numeric(8, 2))), songs(column("rate", Numeric(12, 4)))
    ),
    "type: with a cast": Change(songs(column("code", Text)), songs(column("code", JSONB))),
    "type: with an index": Change(
        songs(column("code", Integer), index("code")),
        songs(column("code", BigInteger), index("code", where=text("code > 0"))),
    ),
    "type: dimensions": Change(songs(SMALL), songs(column("small", Vector(16)))),
    "type: halfvec": Change(songs(SMALL), songs(column("small", HalfVector(8)))),
    "type: halfvec with an index": Change(
        songs(SMALL, near()), songs(column("small", HalfVector(8)), near())
    ),
    "type: sparsevec with an index": Change(
        songs(vectors(Vector(3), metrics=["l1"])),
        songs(vectors(SparseVector(3), metrics=["l1"])),
        rows=f"{ROWS}; UPDATE songs SET vector_0 = '[0,1,0]'",
    ),
    "type: dimensions of each kind of vector": Change(
        songs(vectors(Vector(), HALFVEC(8), SparseVector(8), Bit(8))),
        songs(vectors(Vector(8), HALFVEC(16), SparseVector(), Bit(16))),
    ),
    "type: of a key that is referred to": Change(
        songs(also_of(Integer)), songs(also_of(BigInteger)), rows=""
    ),
    "type: interval": Change(songs(), songs(column("length", Interval, server_default="1 day"))),
    "type: of the application's": Change(songs(), songs(column("length", Duration))),
    "column: with a check": Change(
        songs(), songs(column("n", Integer), check("n > plays", name="more")), drop_undeclared=True
    ),
    "names: by a convention, too long": Change(songs(), conventional()),
    # Constraints.
    "unique": Change(songs(), songs(unique("title"))),
    "unique: nulls not distinct": Change(
        songs(unique("title", "album")),
        songs(unique("title", "album", postgresql_nulls_not_distinct=True)),
    ),
    "unique: columns": Change(songs(unique("title")), songs(unique("title", "plays"))),
    "unique: an index instead": Change(
        songs(unique("title")), songs(index("title", name="uq", unique=True))
    ),
    "foreign key": Change(songs(), songs(reference())),
    "foreign key: on delete": Change(songs(reference()), songs(reference(ondelete="CASCADE"))),
    "foreign key: of a new column": Change(
        songs(also("artists")),
        songs(also("artists"), column("artist_id", BigInteger, ForeignKey("artists.id"))),
    ),
    # Tables.
    "table": Change(
        songs(),
        songs(also("artists", Column("name", Text, index=True), UniqueConstraint("name"))),
    ),
    "table: two that refer to each other": Change(
        songs(),
        songs(
            also("artists", Column("name", Text)),
            also("albums", Column("artist_id", BigInteger, ForeignKey("artists.id"))),
        ),
    ),
    "table: that is referred to": Change(
        songs(column("artist_id", BigInteger)),
        songs(
            also("artists"),
            column("artist_id", BigInteger, ForeignKey("artists.id", name="fk_artist")),
        ),
    ),
    "table: with everything": Change(songs(), songs(lambda t: everything(t.metadata))),
    "table: comment": Change(songs(), songs(comment="Songs: 100%")),
    "partitions": Change(plays(by=None), plays(by="RANGE (at)"), rows="", one_way=True),
}
