"""No text that is searched for is more than a text."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pgmodern.errors import DocumentError
from pgmodern.reference.music import (
    AIInteractionEmbedding,
    AIInteractionEmbeddingRepository,
    AILog,
    Archive,
    ArchiveRepository,
    Artist,
    ArtistRepository,
    NewEmbedding,
    Track,
    TrackRepository,
)
from pgmodern.repositories import SearchRepository
from tests.reference.music.repository.library import ARCHIVES, ARTISTS, EMBEDDINGS, TRACKS, VECTORS

_anything = st.text(st.characters(exclude_categories=[]))
_TOKENS = """' " \\ % _ ; -- /* */ $$ & | ! <-> :* ( ) or -a NULL { } %s %(x)s :x $1 ? a"""
_operators = st.lists(
    st.sampled_from([*_TOKENS.split(), "\x00", "\ud800", "\n", " "]), max_size=30
).map("".join)
_long = st.builds(lambda unit, times: (unit * times)[:100_000], _anything, st.just(100_000))
hostile = _anything | _operators | _long
INJECTIONS = [
    "'; DROP TABLE tracks; --",
    "' OR '1'='1",
    '"; DELETE FROM archives; --',
    "') ON CONFLICT DO NOTHING; TRUNCATE artists; --",
    "x' UNION SELECT passwd FROM pg_shadow --",
    "$$; DROP TABLE ai_logs; $$",
    "%'; DROP TABLE tracks; --%",
    '{"tracks": []}\'; DROP TABLE archives; --',
    '$.x ? (@ == "\'; DROP TABLE archives; --")',
    "\\'; DROP TABLE tracks; --",
]
_hostile = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _storable(asked: str) -> bool:
    return "\x00" not in asked and not any("\ud800" <= c <= "\udfff" for c in asked)


def _searches(session: Session, asked: str) -> None:
    repositories: list[SearchRepository[Any]] = [
        TrackRepository(session),
        ArtistRepository(session),
    ]
    for each in repositories:
        for search in (each.fuzzy, each.full_text, each.search, each.suggest):
            assert all(0 <= hit.score <= 1 for hit in search(asked))


def _reads(session: Session, asked: str) -> None:
    archives = ArchiveRepository(session)
    archives.holding_artist(asked)
    archives.holding_track(asked)
    archives.holding_track("a", asked)
    embeddings = AIInteractionEmbeddingRepository(session)
    embeddings.pending(asked, limit=1)
    embeddings.similar(VECTORS[0], 1, model_name=asked)
    for read in (
        archives.matching,
        lambda each: archives.with_key("genre", each),
        lambda each: archives.with_key_between("mood", each, None),
        lambda each: archives.with_key_between("mood", None, each),
        lambda each: archives.containing({"genre": each}),
        lambda each: archives.containing({each: 1}),
    ):
        try:
            read(asked)
        except DocumentError:
            # A range has shorter ends, see test_jsonb.
            assert read == archives.matching or not _storable(asked) or len(asked) >= 256


@_hostile
@given(asked=hostile)
@example(asked="\x00" * 100_000)
@example(asked="\ud800" * 600)
@example(asked="a " * 50_000)
@example(asked="-" * 512 + "a")
@example(asked="- " * 250 + "a")
@example(asked="-(!-&|" * 50 + "a")
@example(asked="a -b " * 100)
@example(asked='-"a" or ' * 60)
@example(asked='"' * 512)
@example(asked="\U0001f600" * 512)
@example(asked="İ" * 512)
def test_no_text_ever_makes_a_search_fail(session: Session, asked: str) -> None:
    with session.begin_nested():
        _searches(session, asked)


@_hostile
@given(asked=hostile)
@example(asked="\x00" * 100_000)
@example(asked="$tracks[*].artist")
@example(asked="\ud800")
@example(asked="[" * 1000)
def test_no_text_ever_makes_a_read_fail(session: Session, asked: str) -> None:
    with session.begin_nested():
        _reads(session, asked)


@pytest.mark.parametrize("asked", INJECTIONS)
def test_an_injection_is_a_text_like_any_other(asked: str, session: Session) -> None:
    counted = [
        select(func.count()).select_from(model)
        for model in (Artist, Track, Archive, AILog, AIInteractionEmbedding)
    ]
    before = [session.scalar(count) for count in counted]
    _searches(session, asked)
    _reads(session, asked)
    embeddings = AIInteractionEmbeddingRepository(session)
    with session.begin_nested() as savepoint:
        assert embeddings.save([NewEmbedding(1, None, asked, asked, VECTORS[1])]) == 1
        (hit,) = embeddings.similar(VECTORS[1], 1, model_name=asked)
        assert hit.model_name == asked
        savepoint.rollback()
    assert [session.scalar(count) for count in counted] == before
    assert before == [ARTISTS, TRACKS, ARCHIVES, EMBEDDINGS, EMBEDDINGS]
