"""Several searches fused by weighted reciprocal rank."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Text, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.indexes import TrigramIndex
from pgmodern.queries import Leg, hybrid
from pgmodern.queries.statement import Statement


class Base(DeclarativeBase):
    """The metadata of this file."""


class Song(Base):
    """Only its key matters here."""

    __tablename__ = "songs"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    title_trgm = TrigramIndex("ix_songs_title", title)


class Scored(Base):
    """What a search found: the song with the key `id` has this score."""

    __tablename__ = "scored"

    search: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    score: Mapped[float]


INDEX = Song.title_trgm


@pytest.fixture
def searches(session: Session) -> Session:
    """A session that has the tables."""
    Base.metadata.create_all(session.connection())
    return session


def _search(session: Session, number: int, scores: dict[int, float]) -> Statement:
    for key, score in scores.items():
        session.execute(insert(Scored).values(search=number, id=key, score=score))
    found = select(Scored.id, Scored.score).where(Scored.search == number)
    return found.order_by(Scored.score.desc(), Scored.id)


def _fused(session: Session, legs: list[Leg], limit: int = 10) -> dict[int, float]:
    """Return the score of each key, in the order in which they came."""
    return {row.id: row.score for row in session.execute(hybrid(INDEX, legs, limit))}


def _is(found: dict[int, float], expected: dict[int, float]) -> bool:
    return list(found) == list(expected) and found == pytest.approx(expected)


def test_ranks_are_fused_as_computed_by_hand(searches: Session) -> None:
    one = _search(searches, 1, {1: 0.9, 2: 0.5, 3: 0.1})
    two = _search(searches, 2, {3: 0.8, 1: 0.7, 4: 0.6})
    best = 1 / 61 + 1 / 61
    expected = {
        1: (1 / 61 + 1 / 62) / best,
        3: (1 / 63 + 1 / 61) / best,
        2: (1 / 62) / best,
        4: (1 / 63) / best,
    }
    assert _is(_fused(searches, [Leg(one), Leg(two)]), expected)


def test_a_weight_makes_a_search_count_more(searches: Session) -> None:
    one = _search(searches, 1, {1: 0.9, 2: 0.5})
    two = _search(searches, 2, {2: 0.9})
    best = (3 + 1) / 61
    expected = {2: (3 / 62 + 1 / 61) / best, 1: (3 / 61) / best}
    assert _is(_fused(searches, [Leg(one, weight=3), Leg(two)]), expected)
    assert list(_fused(searches, [Leg(one, weight=3), Leg(two, weight=0)])) == [1, 2]


def test_what_is_first_everywhere_scores_one(searches: Session) -> None:
    legs = [Leg(_search(searches, n, {7: 0.5, 8: 0.4}), weight=n) for n in (1, 2, 3)]
    assert _fused(searches, legs)[7] == pytest.approx(1)


def test_equal_scores_go_by_key(searches: Session) -> None:
    one = _search(searches, 1, {5: 0.5, 3: 0.5, 4: 0.5})
    assert list(_fused(searches, [Leg(one)])) == [3, 4, 5]
    two = _search(searches, 2, {9: 1.0})
    three = _search(searches, 3, {8: 1.0})
    assert list(_fused(searches, [Leg(two), Leg(three)])) == [8, 9]


def test_a_search_s_own_order_counts_where_its_scores_are_equal(searches: Session) -> None:
    equal = _search(searches, 1, {5: 0.0, 3: 0.0, 4: 0.0}).order_by(None)
    farthest = equal.order_by(Scored.id.desc())
    assert list(_fused(searches, [Leg(farthest)])) == [5, 4, 3]


def test_searches_that_find_nothing_leave_the_others(searches: Session) -> None:
    one, two = _search(searches, 1, {1: 0.9}), _search(searches, 2, {})
    assert _is(_fused(searches, [Leg(one), Leg(two)]), {1: 0.5})
    assert _fused(searches, [Leg(two), Leg(two)]) == {}


def test_the_limit_keeps_the_best(searches: Session) -> None:
    one = _search(searches, 1, {number: 1 / number for number in range(1, 9)})
    assert list(_fused(searches, [Leg(one)], 3)) == [1, 2, 3]
    assert _fused(searches, [Leg(one)], 0) == {}


@pytest.mark.quick
@pytest.mark.parametrize("weights", [[], [0.0], [0.0, 0.0], [-1.0, 2.0]])
def test_weights_that_make_no_score_are_refused(weights: list[float]) -> None:
    nothing = select(Scored.id, Scored.score)
    with pytest.raises(ValueError, match="weight"):
        hybrid(INDEX, [Leg(nothing, weight) for weight in weights])


_found = st.dictionaries(st.integers(1, 8), st.sampled_from([0.1, 0.5, 0.9]), max_size=8)
_weights = st.floats(0.001, 1000)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(legs=st.lists(st.tuples(_found, _weights), min_size=1, max_size=4))
def test_the_fusion_is_the_formula_whatever_was_found(
    searches: Session, legs: list[tuple[dict[int, float], float]]
) -> None:
    expected: dict[int, float] = {}
    best = sum(weight for _, weight in legs) / 61
    for scores, weight in legs:
        for rank, key in enumerate(sorted(scores, key=lambda key: (-scores[key], key)), 1):
            expected[key] = expected.get(key, 0) + weight / (60 + rank) / best
    with searches.begin_nested() as savepoint:
        fused = _fused(
            searches,
            [Leg(_search(searches, n, scores), w) for n, (scores, w) in enumerate(legs)],
        )
        savepoint.rollback()
    assert fused == pytest.approx(expected)
    assert list(fused.values()) == sorted(fused.values(), reverse=True)
    assert all(0 < score <= 1 for score in fused.values())
