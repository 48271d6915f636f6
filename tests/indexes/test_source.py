"""What cannot be is refused where it is declared, by one error with cause and cure."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from sqlalchemy import JSON, Column, Enum, Integer, MetaData, String, Table, Text, func
from sqlalchemy.dialects.postgresql import CITEXT, JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import Field

from pgmodern import environment
from pgmodern.errors import DeclarationError
from pgmodern.indexes import (
    FullTextIndex,
    HnswIndex,
    JsonbIndex,
    JsonbKeyIndex,
    TrigramIndex,
)
from pgmodern.types import Bit, SparseVector, Vector


def _of(kind: Any, index: Callable[[Column[Any]], object]) -> Callable[[], object]:
    """Declare an index of a column of a type."""

    def declare() -> object:
        column = Column("c", kind)
        declared = index(column)
        Table("t", MetaData(), Column("id", Integer, primary_key=True), column)
        return declared

    return declare


def _two_of_a_name() -> None:
    class Base(DeclarativeBase):
        pass

    class Song(Base):
        __tablename__ = "songs"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(Text)
        artist: Mapped[str] = mapped_column(Text)
        by_title = TrigramIndex("ix_songs", title)
        by_artist = TrigramIndex("ix_songs", artist)


def _two_of_a_name_on_two_tables() -> None:
    metadata = MetaData()
    for name in ("a", "b"):
        TrigramIndex("ix", Table(name, metadata, Column("t", Text)).c.t)


field: Any = Field()
assert isinstance(field, FieldInfo)
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a name": (lambda: TrigramIndex("ix", "name"), "without quotes: name"),  # type: ignore[arg-type]
    "a name in full text": (lambda: FullTextIndex("ix", [("a", "A")]), "without quotes: a"),  # type: ignore[list-item]
    "a field of pydantic's": (lambda: TrigramIndex("ix", field), "Product.name"),
    "no weight": (lambda: FullTextIndex("ix", [Column("a", Text)]), '"A" to "D"'),  # type: ignore[list-item]
    "weight E": (lambda: FullTextIndex("ix", [(Column("a", Text), "E")]), '"A" to "D"'),  # type: ignore[list-item]
    "no sources": (lambda: FullTextIndex("ix", []), '[(title, "A")]'),
    "trigrams of JSONB": (_of(JSONB, lambda c: TrigramIndex("ix", c)), "TEXT or VARCHAR"),
    "trigrams of a number": (_of(Integer, lambda c: TrigramIndex("ix", c)), "TEXT or VARCHAR"),
    "trigrams of citext": (_of(CITEXT, lambda c: TrigramIndex("ix", c)), "TEXT or VARCHAR"),
    "documents of text": (_of(Text, lambda c: JsonbIndex("ix", c)), "JSONB"),
    "documents of JSON": (_of(JSON, lambda c: JsonbIndex("ix", c)), "JSONB"),
    "a key of JSON": (_of(JSON, lambda c: JsonbKeyIndex("ix", c, "a")), "JSONB"),
    "words of a number": (_of(Integer, lambda c: FullTextIndex("ix", [(c, "A")])), "TEXT"),
    "words kept in text": (
        _of(Text, lambda c: FullTextIndex("ix", [(Column("a", Text), "A")], stored=c)),
        "TSVECTOR",
    ),
    "cosin": (lambda: HnswIndex("ix", Column("v", Vector(3)), metric="cosin"), "cosine"),  # type: ignore[arg-type]
    "cosine of bits": (lambda: HnswIndex("ix", Column("v", Bit(3)), metric="cosine"), "hamming"),
    "hamming of numbers": (lambda: HnswIndex("ix", Column("v", Vector(3)), metric="hamming"), "l1"),
    "a prefix of bits": (lambda: HnswIndex("ix", Column("v", Bit(9)), prefix=3), "Leave out"),
    "signs of a sparse vector": (
        lambda: HnswIndex("ix", Column("v", SparseVector(9)), quantised=True),
        "Leave out",
    ),
    "HNSW of text": (lambda: HnswIndex("ix", Column("v", Text)), "Vector(n)"),
    "no oversampling": (lambda: HnswIndex("ix", Column("v", Vector(3)), oversampling=0), "1 or"),
    "one name twice": (_two_of_a_name, "another name"),
    "one name on two tables": (_two_of_a_name_on_two_tables, "another name"),
    "a base": (lambda: environment.run(DeclarativeBase), "Base.metadata"),  # type: ignore[arg-type]
}


@pytest.mark.quick
@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_with_a_cure(what: str) -> None:
    declare, cure = WRONG[what]
    with pytest.raises(DeclarationError) as raised:
        declare()
    assert cure in raised.value.cure


RIGHT: dict[str, Callable[[], object]] = {
    "VARCHAR": _of(String(40), lambda c: TrigramIndex("ix", c)),
    "an expression": _of(Text, lambda c: TrigramIndex("ix", func.lower(c))),
    "of a variant": _of(JSON().with_variant(JSONB(), "postgresql"), lambda c: JsonbIndex("ix", c)),
    "words of citext": _of(CITEXT, lambda c: FullTextIndex("ix", [(c, "A")])),
    "words that are generated": _of(
        TSVECTOR, lambda c: FullTextIndex("ix", [(Column("a", Text), "A")], stored=c)
    ),
    "an enumeration kept as text": _of(
        Enum("a", "b", native_enum=False), lambda c: TrigramIndex("ix", c)
    ),
}


@pytest.mark.parametrize("what", RIGHT)
def test_what_can_be_is_not(what: str) -> None:
    assert RIGHT[what]()


def test_a_type_that_only_the_annotation_tells_is_known_when_the_class_is_mapped() -> None:
    class Base(DeclarativeBase):
        pass

    class Song(Base):
        __tablename__ = "songs"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column()
        by_title = TrigramIndex("ix_songs", title)

    assert Song.by_title.parent is Song.__table__
    with pytest.raises(DeclarationError, match="INTEGER"):

        class Play(Base):
            __tablename__ = "plays"
            id: Mapped[int] = mapped_column(primary_key=True)
            count: Mapped[int] = mapped_column()
            by_count = TrigramIndex("ix_plays", count)


def test_an_index_of_no_table_says_so_when_it_is_asked() -> None:
    index = TrigramIndex("ix", Column("c", Text))
    with pytest.raises(DeclarationError, match="of no table"):
        _ = index.parent
