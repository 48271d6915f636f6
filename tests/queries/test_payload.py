"""What is shown of the rows that a search found."""

import pytest
from sqlalchemy import ForeignKey, Text, insert, literal, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.indexes import TrigramIndex
from pgmodern.queries import fuzzy, with_payload


class Base(DeclarativeBase):
    """The metadata of this file."""


class Author(Base):
    """Who wrote it."""

    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class Book(Base):
    """A title under a key of two columns."""

    __tablename__ = "books"

    shelf: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    title: Mapped[str] = mapped_column(Text)
    title_trgm = TrigramIndex("ix_books_title", title)


@pytest.fixture
def books(session: Session) -> Session:
    """A session that has three books."""
    Base.metadata.create_all(session.connection())
    session.execute(insert(Author), [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}])
    titles = {(1, 1): "The Long Road", (1, 2): "The Long Roads", (2, 1): "The Long Road"}
    session.execute(
        insert(Book),
        [
            {"shelf": shelf, "place": place, "author_id": shelf, "title": title}
            for (shelf, place), title in titles.items()
        ],
    )
    return session


def test_the_columns_of_joined_tables_come_first_and_the_score_last(books: Session) -> None:
    shown = select(Book.title, Author.name).join_from(Book, Author)
    found = fuzzy(Book.title_trgm, "the long road")
    assert books.execute(with_payload(shown, found, Book.title_trgm)).all() == [
        ("The Long Road", "Ann", 1.0),
        ("The Long Road", "Bob", 1.0),
        ("The Long Roads", "Ann", pytest.approx(0.8, abs=0.1)),
    ]


def test_rows_come_in_the_search_s_own_order(books: Session) -> None:
    worst = select(Book.shelf, Book.place, literal(0.5).label("score"))
    search = worst.order_by(Book.title.desc(), Book.shelf.desc())
    found = books.execute(with_payload(select(Book.shelf, Book.place), search, Book.title_trgm))
    assert [(shelf, place) for shelf, place, _ in found] == [(1, 2), (2, 1), (1, 1)]


def test_a_row_whose_join_is_missing_is_not_shown(books: Session) -> None:
    shown = select(Book.title).join_from(Book, Author).where(Author.name == "Bob")
    found = fuzzy(Book.title_trgm, "the long road")
    assert books.execute(with_payload(shown, found, Book.title_trgm)).all() == [
        ("The Long Road", 1.0)
    ]
