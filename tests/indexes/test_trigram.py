"""Trigram indexes: the expressions that they serve."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Text, insert, literal, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.indexes import TrigramIndex
from pgmodern.queries.explain import Explain, indexes_used


class Base(DeclarativeBase):
    """The metadata of this file."""


class Song(Base):
    """A title."""

    __tablename__ = "songs"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    title_trgm = TrigramIndex("ix_songs_title", title)


INDEX = Song.title_trgm


@pytest.fixture
def songs(session: Session) -> Session:
    """A session that has the table."""
    Base.metadata.create_all(session.connection())
    return session


def _add(session: Session, *titles: str) -> None:
    session.execute(insert(Song), [{"title": title} for title in titles])


def _found(session: Session, condition: ColumnElement[bool]) -> Sequence[str]:
    return session.scalars(select(Song.title).where(condition).order_by(Song.id)).all()


@pytest.mark.parametrize(
    "condition",
    [
        INDEX.matches("yesterdya"),
        INDEX.matches(literal("yesterdya", Text)),
        INDEX.starts_with("yest"),
        INDEX.contains("sterd"),
    ],
    ids=["matches", "matches an expression", "starts_with", "contains"],
)
def test_the_index_serves_each_condition(condition: ColumnElement[bool], songs: Session) -> None:
    songs.execute(text("SET LOCAL enable_seqscan = off"))
    plan = songs.scalar(Explain(select(Song.id).where(condition)))
    assert indexes_used(plan) == [INDEX.name]


def test_texts_match_above_the_threshold_alone(songs: Session) -> None:
    _add(songs, "Yesterday", "Yesterday Once More", "Tomorrow")
    songs.execute(text("SET LOCAL pg_trgm.similarity_threshold = 0.5"))
    assert _found(songs, INDEX.matches("yesterdya")) == ["Yesterday"]
    songs.execute(text("SET LOCAL pg_trgm.similarity_threshold = 0.2"))
    assert _found(songs, INDEX.matches("yesterdya")) == ["Yesterday", "Yesterday Once More"]


def test_the_similarity_is_postgresql_s(songs: Session) -> None:
    _add(songs, "Hello", "hello!", "Help", "")
    found = songs.execute(select(Song.title, INDEX.similarity("hello")).order_by(Song.id))
    assert [(title, round(score, 4)) for title, score in found] == [
        ("Hello", 1.0),
        ("hello!", 1.0),
        ("Help", 0.375),
        ("", 0.0),
    ]


WILD = ["100%", "100 %", "a_b", "axb", "back\\slash", "/", "//", "A_B"]


@pytest.mark.parametrize(
    ("part", "starts", "holds"),
    [
        ("100%", ["100%"], ["100%"]),
        ("%", [], ["100%", "100 %"]),
        ("a_", ["a_b", "A_B"], ["a_b", "A_B"]),
        ("A", ["a_b", "axb", "A_B"], ["a_b", "axb", "back\\slash", "A_B"]),
        ("back\\", ["back\\slash"], ["back\\slash"]),
        ("\\", [], ["back\\slash"]),
        ("/", ["/", "//"], ["/", "//"]),
        ("//", ["//"], ["//"]),
        ("%_", [], []),
    ],
)
def test_wildcards_are_letters_like_any_other_and_case_does_not_matter(
    part: str, starts: list[str], holds: list[str], songs: Session
) -> None:
    _add(songs, *WILD)
    assert _found(songs, INDEX.starts_with(part)) == starts
    assert _found(songs, INDEX.contains(part)) == holds


@settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    before=st.text("ab%_\\/'\" é雪", max_size=4),
    part=st.text("ab%_\\/'\" é雪", max_size=4),
    after=st.text("ab%_\\/'\" é雪", max_size=4),
)
def test_a_text_holds_every_part_of_itself_and_nothing_else(
    songs: Session, before: str, part: str, after: str
) -> None:
    whole = before + part + after
    held = literal(whole, Text)
    with songs.begin_nested() as savepoint:
        _add(songs, whole)
        assert _found(songs, (INDEX.indexed == held) & INDEX.contains(part)) == [whole]
        assert _found(songs, INDEX.starts_with(part)) == ([whole] if whole.startswith(part) else [])
        assert _found(songs, INDEX.contains(part + "z")) == []
        savepoint.rollback()
