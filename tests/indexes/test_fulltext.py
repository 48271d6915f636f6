"""Full-text indexes: the expressions that they serve."""

import html
from collections.abc import Sequence

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.indexes import FullTextIndex
from pgmodern.queries.explain import Explain, indexes_used


class Base(DeclarativeBase):
    """The metadata of this file."""


class Song(Base):
    """The same words in a stored column and in an expression."""

    __tablename__ = "songs"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    album: Mapped[str | None] = mapped_column(Text)
    words: Mapped[str | None] = mapped_column(TSVECTOR)
    stored = FullTextIndex("ix_stored", [(title, "A"), (album, "B")], stored=words)
    computed = FullTextIndex("ix_computed", [(title, "A"), (album, "B")])
    stemmed = FullTextIndex("ix_stemmed", [(title, "A")], configuration="pg_catalog.english")


BOTH = pytest.mark.parametrize("index", [Song.stored, Song.computed], ids=["stored", "computed"])
SONGS = [
    ("Café del Mar", "Ibiza"),
    ("Ibiza", None),
    ("The Running Man", "Café"),
    ("Love Is All", None),
    ("Love and Hate", None),
]


@pytest.fixture
def songs(session: Session) -> Session:
    """A session that has the table and its songs."""
    Base.metadata.create_all(session.connection())
    session.execute(insert(Song), [{"title": title, "album": album} for title, album in SONGS])
    return session


TRIGGERS = text("SELECT count(*) FROM pg_proc WHERE prorettype = 'trigger'::regtype")


def test_what_create_all_makes_fills_the_column_and_drop_all_leaves_nothing(
    session: Session,
) -> None:
    connection = session.connection()
    connection.execute(text("CREATE SCHEMA archive"))
    metadata, before = MetaData(), connection.scalar(TRIGGERS)
    for schema in (None, "archive"):
        table = Table(
            'odd "%:songs',
            metadata,
            Column("id", Integer, primary_key=True),
            Column("title", Text, key="heading"),
            Column("words", TSVECTOR),
            Column("kept", TSVECTOR, Computed("to_tsvector('simple', title)", persisted=True)),
            schema=schema,
        )
        FullTextIndex(f"ix_{schema}", [(table.c.heading, "A")], stored=table.c.words)
        FullTextIndex(f"ix_kept_{schema}", [(table.c.heading, "A")], stored=table.c.kept)
    for _ in range(2):
        metadata.create_all(connection)
        metadata.create_all(connection)  # the tables are there
        for table in metadata.tables.values():
            connection.execute(insert(table).values(id=1, heading="Café"))
            connection.execute(update(table).values(heading="Ibiza 98"))
            assert connection.scalar(select(table.c.words)) == "'98':2A 'ibiza':1A"
        metadata.drop_all(connection)
        assert connection.scalar(TRIGGERS) == before


def _titles(session: Session, index: FullTextIndex, asked: str) -> Sequence[str]:
    found = select(Song.title).where(index.matches(index.query(asked))).order_by(Song.id)
    return session.scalars(found).all()


@BOTH
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("cafe", ["Café del Mar", "The Running Man"]),
        ("CAFÉ", ["Café del Mar", "The Running Man"]),
        ("ibiza", ["Café del Mar", "Ibiza"]),
        ("cafe ibiza", ["Café del Mar"]),
        ('"del mar"', ["Café del Mar"]),
        ('"mar del"', []),
        ("running or hate", ["The Running Man", "Love and Hate"]),
        ("love -hate", ["Love Is All"]),
        ("run", []),
        ("", []),
        ("-", []),
        ("& | ! ( ) <-> :* '", []),
    ],
)
def test_both_variants_find_words_phrases_alternatives_and_what_is_not_there(
    index: FullTextIndex, asked: str, expected: list[str], songs: Session
) -> None:
    assert _titles(songs, index, asked) == expected


def test_another_configuration_has_its_own_words(songs: Session) -> None:
    assert _titles(songs, Song.stemmed, "run") == ["The Running Man"]
    assert _titles(songs, Song.stemmed, "cafe") == []


@pytest.mark.parametrize(
    "index", [Song.stored, Song.computed, Song.stemmed], ids=lambda index: str(index.name)
)
def test_the_index_serves_the_condition(index: FullTextIndex, songs: Session) -> None:
    songs.execute(text("SET LOCAL enable_seqscan = off"))
    statement = select(Song.id).where(index.matches(index.query("cafe")))
    assert indexes_used(songs.scalar(Explain(statement))) == [index.name]


def _rank(session: Session, index: FullTextIndex, asked: str) -> dict[str, float]:
    query = index.query(asked)
    found = select(Song.title, index.rank(query).label("rank")).where(index.matches(query))
    return {row.title: row.rank for row in session.execute(found)}


@BOTH
def test_a_word_of_the_title_ranks_above_one_of_the_album(
    index: FullTextIndex, songs: Session
) -> None:
    rank = _rank(songs, index, "ibiza")
    assert 1 > rank["Ibiza"] > rank["Café del Mar"] > 0


@BOTH
def test_a_word_that_must_be_absent_does_not_lower_the_rank(
    index: FullTextIndex, songs: Session
) -> None:
    assert _rank(songs, index, "love -hate") == {
        "Love Is All": _rank(songs, index, "love")["Love Is All"]
    }


@BOTH
def test_absence_alone_finds_the_rest_and_ranks_nothing(
    index: FullTextIndex, songs: Session
) -> None:
    ranks = _rank(songs, index, "-love")
    assert ranks == {"Café del Mar": 0, "Ibiza": 0, "The Running Man": 0}


@BOTH
def test_the_words_found_stand_between_marks_in_the_text_as_written(
    index: FullTextIndex, songs: Session
) -> None:
    shown = select(index.highlight(index.query("cafe ibiza"))).order_by(Song.id).limit(2)
    assert songs.scalars(shown).all() == ["<b>Café</b> del Mar / <b>Ibiza</b>", "<b>Ibiza</b>"]


ODD = ["", "x" * 2000, "%s \\ : <3", "word " * 3000, "<script>alert('a&b')</script>", "&lt;b&gt;"]


@BOTH
@pytest.mark.parametrize("title", ODD)
def test_any_title_can_be_indexed_and_shown_as_html(
    index: FullTextIndex, title: str, songs: Session
) -> None:
    songs.execute(insert(Song).values(title=title))
    shown = songs.scalars(
        select(index.highlight(index.query("alert or word"))).where(Song.title == title)
    ).one()
    plain = shown.replace("<b>", "").replace("</b>", "")
    assert "<" not in plain
    assert html.unescape(plain).strip() in title
    assert plain or not title
