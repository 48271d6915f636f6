"""An index of a mixin, an abstract class or another kind of mapping is of each table's own."""

from typing import Any, ClassVar

import pytest
from sqlalchemy import Column, ColumnElement, Integer, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    mapped_column,
    registry,
)
from sqlmodel import Field, SQLModel

from pgmodern.errors import DeclarationError
from pgmodern.indexes import (
    DeclaredIndex,
    FullTextIndex,
    HnswIndex,
    JsonbIndex,
    TrigramIndex,
)
from pgmodern.queries import fuzzy, with_payload
from pgmodern.repositories import SearchRepository
from pgmodern.types import Vector


def _names(table: Any) -> set[str | None]:
    return {index.name for index in table.indexes}


class Named:
    """A mixin."""

    name: Mapped[str] = mapped_column(Text)
    story: Mapped[str] = mapped_column(Text)
    embedding: Mapped[Any | None] = mapped_column(Vector(3))
    trigrams = TrigramIndex("ix_name", name, where=name != "")
    words = FullTextIndex("ix_words", [(name, "A"), (story, "B")])
    near = HnswIndex(name="ix_near", column=embedding, metric="l2", m=8)


def test_every_class_of_a_mixin_has_indexes_of_its_own() -> None:
    class Base(DeclarativeBase):
        pass

    class Person(Named, Base):
        __tablename__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Place(Named, Base):
        __tablename__ = "places"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert _names(Person.__table__) == {"ix_name_people", "ix_words_people", "ix_near_people"}
    assert _names(Place.__table__) == {"ix_name_places", "ix_words_places", "ix_near_places"}
    assert Person.trigrams.parent is Person.__table__
    assert Place.near.parent is Place.__table__
    assert (Place.near.metric, Place.near.vector) == ("l2", Place.__table__.c.embedding)
    assert Person.words.weights == {"name": "A", "story": "B"}
    (condition,) = Person.trigrams.conditions
    assert "people.name" in str(condition)


def test_the_index_of_a_class_of_a_mixin_serves_its_searches(session: Session) -> None:
    class Base(DeclarativeBase):
        pass

    class Person(Named, Base):
        __tablename__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)

    class People(SearchRepository[tuple[int, float]]):
        row = staticmethod(lambda *row: tuple(row))
        payload, trigram = select(Person.id), Person.trigrams

    Base.metadata.create_all(session.connection())
    session.add(Person(name="Beatles", story=""))
    assert [id_ for id_, _ in People(session).fuzzy("beetles")] == [1]
    found = with_payload(select(Person.name), fuzzy(Person.trigrams, "beatles", 3), Person.trigrams)
    assert session.execute(found).first() == ("Beatles", 1.0)


def test_so_has_every_class_of_an_abstract_one() -> None:
    class Base(DeclarativeBase):
        pass

    class Abstract(Base):
        __abstract__ = True
        id: Mapped[int] = mapped_column(primary_key=True)
        document: Mapped[dict[str, Any]] = mapped_column(JSONB)
        held = JsonbIndex("ix_held", document)

    class Event(Abstract):
        __tablename__ = "events"

    class Sale(Event):
        """Inherits the table."""

    assert Event.held is Sale.held
    assert _names(Event.__table__) == {"ix_held_events"}


def test_a_class_inherits_the_index_with_the_table() -> None:
    class Base(DeclarativeBase):
        pass

    class Animal(Base):
        __tablename__ = "animals"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(Text)
        by_name = TrigramIndex("ix_animals", name)

    class Dog(Animal):
        pass

    assert Dog.by_name is Animal.by_name
    assert Dog.by_name.name == "ix_animals"


def test_dataclasses_have_them_too() -> None:
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class Titled(MappedAsDataclass):
        title: Mapped[str] = mapped_column(Text)
        by_title = TrigramIndex("ix_title", title)

    class Song(Titled, Base):
        __tablename__ = "songs"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        artist: Mapped[str] = mapped_column(Text, default="")
        by_artist = TrigramIndex("ix_artist", artist)

    assert _names(Song.__table__) == {"ix_title_songs", "ix_artist"}
    assert Song(title="x").by_title is Song.by_title


def test_tables_and_imperative_mappings_have_them() -> None:
    mapping = registry()
    table = Table(
        "songs", mapping.metadata, Column("id", Integer, primary_key=True), Column("title", Text)
    )

    class Song:
        title: str
        by_title = TrigramIndex("ix_title", table.c.title)

    mapping.map_imperatively(Song, table)
    assert Song.by_title.parent is table
    by_attribute = TrigramIndex("ix_attribute", Song.title)  # type: ignore[arg-type]
    assert by_attribute.parent is table


def test_models_of_sqlmodel_have_them() -> None:
    class Song(SQLModel, table=True):
        __tablename__ = "sqlmodel_songs"
        id: int | None = Field(default=None, primary_key=True)
        title: str

        by_title: ClassVar[DeclaredIndex]

    Song.by_title = TrigramIndex("ix_sqlmodel_title", Song.title)  # type: ignore[arg-type]
    assert Song.by_title.parent is Song.__table__  # type: ignore[attr-defined]


def test_a_column_that_a_class_replaces_leaves_no_index_behind_in_silence() -> None:
    class Base(DeclarativeBase):
        pass

    with pytest.raises(DeclarationError, match="ix_words"):

        class Person(Named, Base):
            __tablename__ = "people"
            id: Mapped[int] = mapped_column(primary_key=True)
            story: Mapped[str] = mapped_column(Text)


def test_the_declaration_itself_says_whose_index_to_take() -> None:
    with pytest.raises(DeclarationError, match=r"Product\.name_trgm"):
        _ = Named.trigrams.parent
    expression: ColumnElement[Any] = Named.trigrams.indexed
    assert expression is not None
