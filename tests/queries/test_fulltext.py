"""Full-text search, ranked."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from pgmodern.queries import full_text
from pgmodern.reference.music import Artist, Track

INDEX = Track.search
TRACKS = [
    ("Yesterday", "Help!"),
    ("Help!", "Help!"),
    ("Help Me Make It", "Through the Night"),
    ("Déjà Vu", "B'Day"),
    ("The Night Before", None),
    ("Night and Day", "Day by Day"),
]


@pytest.fixture
def tracks(session: Session) -> Session:
    """A session that has some tracks, of which the trigger keeps the words."""
    artist = Artist(name="Various")
    session.add(artist)
    session.flush()
    for number, (title, album) in enumerate(TRACKS):
        session.add(Track(id=number, artist_id=artist.id, title=title, album=album))
    session.flush()
    return session


def _titles(session: Session, asked: str, limit: int = 10) -> list[str]:
    return [TRACKS[row.id][0] for row in session.execute(full_text(INDEX, asked, limit))]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("help", ["Help!", "Help Me Make It", "Yesterday"]),
        ("deja", ["Déjà Vu"]),
        ("DÉJÀ", ["Déjà Vu"]),
        ('"night before"', ["The Night Before"]),
        ('"before night"', []),
        ("yesterday or deja", ["Yesterday", "Déjà Vu"]),
        ("night -day", ["The Night Before", "Help Me Make It"]),
        ("help yesterday", ["Yesterday"]),
        ("nigh", []),
        ("", []),
        ("' OR 1=1 --", []),
    ],
)
def test_the_best_match_comes_first_and_a_title_counts_more_than_an_album(
    asked: str, expected: list[str], tracks: Session
) -> None:
    assert _titles(tracks, asked) == expected


def test_scores_descend_within_0_to_1_and_equal_ones_go_by_key(tracks: Session) -> None:
    found = tracks.execute(full_text(INDEX, "night or day or help")).all()
    scores = [row.score for row in found]
    assert len(found) == len(TRACKS)
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    equal = tracks.execute(full_text(INDEX, "-nothing")).all()
    assert [(row.id, row.score) for row in equal] == [(n, 0) for n in range(len(TRACKS))]


def test_the_limit_and_the_conditions_hold(tracks: Session) -> None:
    assert _titles(tracks, "help", 2) == ["Help!", "Help Me Make It"]
    assert _titles(tracks, "help", 0) == []
    conditioned = full_text(INDEX, "help", where=[Track.album == "Help!"])
    assert [row.id for row in tracks.execute(conditioned)] == [1, 0]


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    asked=st.text(st.characters(exclude_categories=[]))
    | st.text("ab \"'-&|!()<>:*\\\x00")
    | st.lists(st.sampled_from(["or", "and", "-", '"', "a", "<->", ":*", "&", "!", "'"])).map(
        " ".join
    )
)
@example(asked="-" * 500 + "a")
@example(asked="- " * 250 + "a")
@example(asked="-(!-&|" * 80 + "a")
@example(asked='-"a" or ' * 60)
@example(asked="a -b " * 100)
@example(asked='"' * 512)
@example(asked='-""' * 160)
@example(asked="-_" * 250)
def test_whatever_is_typed_is_a_query(tracks: Session, asked: str) -> None:
    with tracks.begin_nested():
        found = tracks.execute(full_text(INDEX, asked)).all()
    assert all(0 <= row.score <= 1 for row in found)
