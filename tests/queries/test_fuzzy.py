"""Typo-tolerant search: as close as the text's own typos allow, and no filler."""

import random
import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Engine, Text, create_engine, func, insert, literal, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.indexes import TrigramIndex
from pgmodern.queries import fuzzy
from pgmodern.queries.fuzzy import thresholds
from pgmodern.queries.statement import Statement
from pgmodern.testing.databases import database


class Base(DeclarativeBase):
    """The metadata of this file."""


class Song(Base):
    """A title, indexed whole and in part."""

    __tablename__ = "songs"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    hidden: Mapped[bool] = mapped_column(default=False)
    title_trgm = TrigramIndex("ix_songs_title", title)
    shown_trgm = TrigramIndex("ix_songs_shown", title, where=hidden.is_(False))


INDEX = Song.title_trgm


def _titles(count: int) -> list[str]:
    chance = random.Random(7)
    syllables = [a + b for a in "bcdfghklmnprst" for b in "aeiou"]
    vocabulary = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(400)]
    return [" ".join(chance.choices(vocabulary, k=chance.randint(1, 4))) for _ in range(count)]


TITLES = [*_titles(3000), "Hello, Goodbye", "hello goodbye", "Yesterday", "Beyoncé", "!!!", ""]


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with some thousand titles."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            rows = [{"id": n, "title": t, "hidden": n % 2 == 0} for n, t in enumerate(TITLES)]
            connection.execute(insert(Song), rows)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE songs"))
        yield url


def _found(session: Session, statement: Statement) -> list[tuple[int, float]]:
    return [(row.id, row.score) for row in session.execute(statement)]


def _titles_found(session: Session, asked: str, limit: int = 10) -> list[str]:
    return [TITLES[number] for number, _ in _found(session, fuzzy(INDEX, asked, limit))]


def _swapped(title: str, place: int) -> str:
    return title[:place] + title[place + 1] + title[place] + title[place + 2 :]


def _thresholds(session: Session, asked: str) -> list[float]:
    return list(session.scalars(thresholds(literal(asked, Text))))


_on_the_server = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_on_the_server
@given(asked=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_thresholds_descend_from_below_one_to_a_fifth_and_none_is_tried_twice(
    asked: str, session: Session
) -> None:
    tried = _thresholds(session, asked)
    counted = text("SELECT cardinality(show_trgm(:asked))")
    assert bool(tried) == (session.scalar(counted, {"asked": asked}) != 0)
    assert tried == sorted(set(tried), reverse=True)
    assert not tried or (tried[0] < 1 and tried[-1] == 0.2)


def _similarity(session: Session, one: str, other: str) -> float:
    alike: float = session.scalars(select(func.similarity(one, other))).one()
    return alike


@_on_the_server
@given(title=st.text(string.ascii_lowercase, min_size=4), data=st.data())
def test_one_wrong_letter_stays_above_the_first_threshold(
    title: str, data: st.DataObject, session: Session
) -> None:
    place = data.draw(st.integers(0, len(title) - 1))
    typed = title[:place] + data.draw(st.sampled_from(string.ascii_lowercase)) + title[place + 1 :]
    first, *_ = _thresholds(session, typed)
    assert _similarity(session, title, typed) >= first or first == 0.2


@_on_the_server
@given(title=st.text(string.ascii_lowercase, min_size=4), data=st.data())
def test_two_letters_swapped_stay_above_the_second_threshold(
    title: str, data: st.DataObject, session: Session
) -> None:
    typed = _swapped(title, data.draw(st.integers(0, len(title) - 2)))
    second = _thresholds(session, typed)[:2]
    assert _similarity(session, title, typed) >= min(second) or 0.2 in second


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("yesterdya", ["Yesterday"]),
        ("YESTERDAY", ["Yesterday"]),
        ("hello godbye", ["hello goodbye", "Hello, Goodbye"]),
        ("beyonce", ["Beyoncé"]),
        ("yestready", ["Yesterday"]),
        ("zzzzqqqq", []),
        ("", []),
        ("!!!", []),
        ("\x00\ud800", []),
    ],
)
def test_what_was_meant_is_found(asked: str, expected: list[str], session: Session) -> None:
    assert _titles_found(session, asked) == expected


def _brute(session: Session, asked: str) -> list[tuple[int, float, float]]:
    """Every row by an exact search: its key, its score and its similarity, the best first."""
    sought = literal(asked, Text)
    score = INDEX.likeness(sought).label("score")
    every = select(Song.id, score, INDEX.similarity(sought)).order_by(score.desc(), Song.id)
    return [(key, found, similarity) for key, found, similarity in session.execute(every)]


def _expected(session: Session, asked: str, limit: int) -> list[tuple[int, float]]:
    every = _brute(session, asked)
    for threshold in _thresholds(session, asked):
        close = [(key, score) for key, score, similarity in every if similarity >= threshold]
        if close:
            return close[:limit]
    return []


def _needed(session: Session, asked: str) -> int:
    """How many thresholds have to be tried."""
    best = max(similarity for *_, similarity in _brute(session, asked))
    return sum(best < threshold for threshold in _thresholds(session, asked)[:-1]) + 1


def _asked() -> list[str]:
    chance = random.Random(11)
    titles = [title for title in chance.sample(TITLES, 40) if len(title) > 4]
    typos = [_swapped(title, chance.randrange(len(title) - 1)) for title in titles]
    return [*titles[:10], *typos, "b", "ba", "bababa", "kolo munu", "x" * 100]


def test_the_rows_are_those_of_an_exact_search_above_the_first_threshold_that_finds_any(
    session: Session,
) -> None:
    for asked in _asked():
        for limit in (1, 5000):
            assert _found(session, fuzzy(INDEX, asked, limit)) == _expected(session, asked, limit)


def test_scores_are_in_0_to_1_and_descend(session: Session) -> None:
    found = _found(session, fuzzy(INDEX, "kolo", 5000))
    scores = [score for _, score in found]
    assert len(found) > 5
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_of_texts_with_the_same_trigrams_the_one_as_long_comes_first(session: Session) -> None:
    session.add_all([Song(id=90_001, title="Zu Zu Zu Zu"), Song(id=90_002, title="Zu")])
    session.flush()
    found = _found(session, fuzzy(INDEX, "zu"))
    assert found[0] == (90_002, 1.0)
    assert 90_001 in dict(found)


def test_conditions_and_the_limit_hold_in_every_leg(session: Session) -> None:
    for asked in _asked()[:20]:
        even = _found(session, fuzzy(INDEX, asked, 3, where=[Song.id % 2 == 0]))
        assert len(even) <= 3
        assert all(number % 2 == 0 for number, _ in even)
    assert _found(session, fuzzy(INDEX, "yesterday", 0)) == []
    with pytest.raises(ValueError, match="limit"):
        fuzzy(INDEX, "yesterday", -1)


def test_a_partial_index_finds_its_own_rows(session: Session) -> None:
    for asked in _asked()[:20]:
        shown = fuzzy(Song.shown_trgm, asked, 20)
        assert all(number % 2 == 1 for number, _ in _found(session, shown))
        explicit = fuzzy(INDEX, asked, 20, where=[Song.hidden.is_(False)])
        assert _found(session, shown) == _found(session, explicit)


def _plan(session: Session, statement: Statement) -> str:
    compiled = statement.compile(session.connection(), compile_kwargs={"literal_binds": True})
    lines: Sequence[Any] = (
        session.connection()
        .exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {compiled}")
        .scalars()
        .all()
    )
    return "\n".join(lines)


def _scans(plan: str) -> int:
    """How often an index was scanned."""
    scans = re.findall(r"Bitmap Index Scan on ix_songs.*(?:loops=(\d+)|never executed)", plan)
    return sum(int(loops or 0) for loops in scans)


@pytest.mark.parametrize(
    ("asked", "tried"),
    [
        ("hello goodby", 1),
        ("hello gobdey", 2),
        ("helol godbey", 3),
        ("hexxxlo gooxxbye", 4),
        ("zzzzqqqq wwwwxxxx", 4),
    ],
)
def test_a_threshold_is_tried_only_when_the_one_above_found_nothing(
    asked: str, tried: int, session: Session
) -> None:
    session.execute(text("SET LOCAL enable_seqscan = off"))
    assert _needed(session, asked) == tried
    assert _scans(_plan(session, fuzzy(INDEX, asked))) == tried


def test_an_empty_text_touches_no_index(session: Session) -> None:
    assert _scans(_plan(session, fuzzy(INDEX, "!?"))) == 0


def test_the_threshold_is_gone_after_the_transaction(engine: Engine) -> None:
    shown = text("SHOW pg_trgm.similarity_threshold")
    with engine.connect() as connection:
        connection.execute(fuzzy(INDEX, "yesterday"))
        assert connection.execute(shown).scalar_one() != "0.3"
        connection.commit()
        assert connection.execute(shown).scalar_one() == "0.3"


def test_the_caller_s_own_threshold_does_not_matter(session: Session) -> None:
    before = _found(session, fuzzy(INDEX, "yesterdya"))
    session.execute(text("SET LOCAL pg_trgm.similarity_threshold = 1"))
    assert _found(session, fuzzy(INDEX, "yesterdya")) == before
