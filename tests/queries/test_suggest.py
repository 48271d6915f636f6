"""Suggestions while somebody types."""

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from pgmodern.queries import suggest
from pgmodern.reference.music import Artist

INDEX = Artist.name_trgm
NAMES = [
    "The Beatles",
    "The Beat",
    "Beyoncé",
    "Beyonce",
    "100% Beat",
    "100 Beats",
    "a_b",
    "axb",
    "back\\slash",
    "Ümlaut",
    "雪の華",
    "!!!",
    "",
]


@pytest.fixture
def artists(session: Session) -> Session:
    """A session that has some artists."""
    rows = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    session.execute(insert(Artist), rows)
    return session


def _names(session: Session, typed: str, limit: int = 10) -> list[str]:
    return [NAMES[row.id] for row in session.execute(suggest(INDEX, typed, limit))]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("the beat", ["The Beat", "The Beatles"]),
        ("THE BEATL", ["The Beatles"]),
        ("beat", []),
        ("b", ["Beyoncé", "Beyonce", "back\\slash"]),
        ("beyonc", ["Beyoncé", "Beyonce"]),
        ("beyoncé", ["Beyoncé"]),
        ("beyonce", ["Beyonce"]),
        ("ü", ["Ümlaut"]),
        ("雪", ["雪の華"]),
        ("100%", ["100% Beat"]),
        ("100", ["100% Beat", "100 Beats"]),
        ("a_", ["a_b"]),
        ("a_%", []),
        ("back\\", ["back\\slash"]),
        ("%", []),
        ("_", []),
        ("!!!", []),
        ("", []),
        ("\x00", []),
        ("\ud800", []),
        ("the beat\x00", ["The Beat", "The Beatles"]),
        ("x" * 10_000, []),
    ],
)
def test_names_that_start_with_what_is_typed_come_shortest_first(
    typed: str, expected: list[str], artists: Session
) -> None:
    assert _names(artists, typed) == expected


def test_the_score_is_the_part_that_is_typed_already(artists: Session) -> None:
    found = artists.execute(suggest(INDEX, "The Beat")).all()
    assert [(NAMES[row.id], row.score) for row in found] == [
        ("The Beat", 1.0),
        ("The Beatles", pytest.approx(8 / 11)),
    ]


def test_the_limit_and_the_conditions_hold(artists: Session) -> None:
    assert _names(artists, "the", 1) == ["The Beat"]
    assert _names(artists, "the", 0) == []
    conditioned = suggest(INDEX, "the", where=[Artist.id == 0])
    assert [row.id for row in artists.execute(conditioned)] == [0]
