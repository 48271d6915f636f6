"""Random models of the features that autogenerate knows."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import strategies as st
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from pgmodern.extensions import Extension
from pgmodern.indexes import FullTextIndex, HnswIndex, JsonbIndex, JsonbKeyIndex, TrigramIndex
from pgmodern.types import HalfVector, SparseVector, Vector

# What was tried, and how often nothing was left to do, for the summary.
TRIED = pytest.StashKey[Counter[str]]()

TYPES: dict[str, list[Any]] = {
    "title": [Text(), String(50), String(80)],
    "album": [Text(), String(20)],
    "plays": [Integer(), BigInteger()],
    "price": [Numeric(10, 2), Numeric(14, 4)],
    "at": [DateTime(timezone=True)],
    "more": [JSONB()],
    "tags": [ARRAY(Text())],
    "small": [Vector(4), HalfVector(4), HALFVEC(5), SparseVector(4), SparseVector(5)],
}
DEFAULTS = {"title": "'x: 1%'", "plays": "7", "at": "now()"}
TWICE = ["id * 2", "id + 1", "(id % 7) * 2"]
CONDITIONS = ["id > 0", "id > 1 OR id = 1", "id <> 13", "id IN (1, 2, 3) OR id > 0"]
PREDICATES = ["id > 0", "id > 100", "id IS NOT NULL AND id <> 4"]
KEYS = ["year", "it's :a", '"100%"']


@st.composite
def models(draw: st.DrawFn, *, virtual: bool = False) -> MetaData:
    """Return the metadata of two or three tables; `virtual` generated columns are there from 18."""
    metadata = MetaData()
    if draw(st.booleans()):
        metadata.info["extensions"] = [Extension("hstore")]
    draw(partitioned(metadata))  # always there: with its partitions it is never dropped
    if draw(st.booleans()):
        columns = [Column("name", Text, index=draw(st.booleans()), unique=draw(st.booleans()))]
        Table("artists", metadata, Column("id", BigInteger, primary_key=True), *columns)
    names = [name for name in TYPES if draw(st.booleans())]
    table = Table(
        "songs",
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        *(draw(columns_named(name)) for name in draw(st.permutations(names))),
        comment=draw(st.sampled_from([None, "Songs: 100%"])),
        info=draw(st.sampled_from([{}, {"change_notification": ["id"]}])).copy(),
    )
    if draw(st.booleans()):
        persisted = not virtual or draw(st.booleans())
        computed = Computed(draw(st.sampled_from(TWICE)), persisted=persisted)
        table.append_column(Column("twice", BigInteger, *draw(st.sampled_from([[computed], []]))))
    if "artists" in metadata.tables and draw(st.booleans()):
        action = draw(st.sampled_from([None, "CASCADE", "SET NULL"]))
        key = ForeignKey("artists.id", name="fk_artist", ondelete=action)
        table.append_column(Column("artist_id", BigInteger, key))
    for number in range(draw(st.integers(0, 2))):
        condition = draw(st.sampled_from(CONDITIONS))
        name = draw(st.sampled_from([None, f"check_{number}"]))
        table.append_constraint(CheckConstraint(condition, name=name))
    if draw(st.booleans()) and names:
        several = draw(st.permutations([name for name in names if name not in {"more", "tags"}]))
        if chosen := [name for name in several if name != "small"][: draw(st.integers(1, 2))]:
            table.append_constraint(UniqueConstraint(*chosen, name="uq"))
    draw(plain_indexes(table, names))
    draw(declared_indexes(table, names))
    return metadata


@st.composite
def partitioned(draw: st.DrawFn, metadata: MetaData) -> None:
    """Add a table that can be partitioned, and may be."""
    by = draw(st.sampled_from([None, "RANGE (at)"]))
    table = Table(
        "events",
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("at", DateTime(timezone=True), primary_key=True, server_default=text("now()")),
        Column("more", JSONB),
        postgresql_partition_by=by,
    )
    if draw(st.booleans()):
        JsonbIndex("ix_events", table.c.more)


@st.composite
def columns_named(draw: st.DrawFn, name: str) -> Column[Any]:
    """Return a column."""
    default = DEFAULTS.get(name)
    return Column(
        name,
        draw(st.sampled_from(TYPES[name])),
        nullable=draw(st.booleans()),
        server_default=text(default) if default and draw(st.booleans()) else None,
        comment=draw(st.sampled_from([None, None, "Said: it's 1%"])),
    )


@st.composite
def plain_indexes(draw: st.DrawFn, table: Table, names: list[str]) -> None:
    """Add indexes of SQLAlchemy's own."""
    sortable = [name for name in names if name in {"title", "album", "plays", "price", "at"}]
    for number in range(draw(st.integers(0, 2)) if sortable else 0):
        count = draw(st.integers(1, 2))
        chosen = draw(st.permutations(sortable))[:count]
        expressions = [draw(ordered(table.c[name])) for name in chosen]
        options: dict[str, Any] = {"unique": draw(st.booleans())}
        if draw(st.booleans()):
            options["postgresql_where"] = text(draw(st.sampled_from(PREDICATES)))
        if draw(st.booleans()):
            options["postgresql_include"] = ["id"]
        if draw(st.booleans()):
            options["postgresql_with"] = {"fillfactor": draw(st.sampled_from([70, 90]))}
        if options["unique"] and draw(st.booleans()):
            options["postgresql_nulls_not_distinct"] = True
        Index(f"ix_{number}", *expressions, **options)


@st.composite
def ordered(draw: st.DrawFn, column: Column[Any]) -> Any:
    """Return a column, or what an index may hold of it."""
    choices: list[Any] = [column, column.desc(), column.nulls_first(), column.desc().nulls_last()]
    if column.name in {"title", "album"}:
        choices += [func.lower(column), func.upper(column), func.left(column, text("3"))]
    return draw(st.sampled_from(choices))


@st.composite
def declared_indexes(draw: st.DrawFn, table: Table, names: list[str]) -> None:
    """Add indexes that are declared once."""
    where = draw(st.sampled_from([None, table.c.id > 10, table.c.id.is_not(None)]))
    texts = [name for name in names if name in {"title", "album"}]
    if draw(st.booleans()) and texts:
        TrigramIndex("ix_trgm", table.c[draw(st.sampled_from(texts))], where=where)
    if draw(st.booleans()) and texts:
        weights = st.sampled_from("ABCD")
        sources: list[Any] = [
            (table.c[name], draw(weights)) for name in draw(st.permutations(texts))
        ]
        kept = sources[: draw(st.integers(1, len(sources)))]
        stored = draw(st.booleans())
        if stored:
            table.append_column(Column("found", TSVECTOR))
        configuration = draw(st.sampled_from(["public.simple_unaccent", "public.english_unaccent"]))
        vector = table.c.found if stored else None
        FullTextIndex("ix_found", kept, stored=vector, configuration=configuration)
    if "more" in names and draw(st.booleans()):
        JsonbIndex("ix_more", table.c.more, where=where)
    if "more" in names and draw(st.booleans()):
        key = draw(st.sampled_from(KEYS))
        kind: Any = draw(st.sampled_from(["text", "number"]))
        JsonbKeyIndex("ix_key", table.c.more, key, kind=kind, where=where)
    if "small" in names and draw(st.booleans()):
        options: dict[str, Any] = {
            "metric": draw(st.sampled_from(["cosine", "l2", "inner_product", "l1"])),
            "m": draw(st.sampled_from([4, 16])),
        }
        is_sparse = isinstance(table.c.small.type, SparseVector)
        coarser: list[Any] = [] if is_sparse else [{"prefix": 2}, {"quantised": True}]
        coarse = draw(st.sampled_from([{}, *coarser]))
        HnswIndex("ix_small", table.c.small, **options, **coarse)
