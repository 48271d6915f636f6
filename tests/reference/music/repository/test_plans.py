"""Every read is one statement, served by its declared index, and the same of both twins."""

import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.queries.explain import indexes_used
from pgmodern.reference.music import (
    AIInteractionEmbedding,
    AIInteractionEmbeddingRepository,
    Archive,
    ArchiveRepository,
    ArtistRepository,
    AsyncAIInteractionEmbeddingRepository,
    AsyncArchiveRepository,
    AsyncArtistRepository,
    AsyncTrackRepository,
    NewEmbedding,
    TrackRepository,
)
from tests.plans import MODES, reported
from tests.reference.music.repository.library import ARTIST_NAMES, START, TITLES, USERS, VECTORS

AFTER = (START + timedelta(minutes=1000), uuid.UUID(int=2001))
Read = Callable[[Any], Any]
MUSIC: dict[str, type[Any]] = {
    "artists": ArtistRepository,
    "tracks": TrackRepository,
    "archives": ArchiveRepository,
    "embeddings": AIInteractionEmbeddingRepository,
}
ASYNCHRONOUS: dict[str, type[Any]] = {
    "artists": AsyncArtistRepository,
    "tracks": AsyncTrackRepository,
    "archives": AsyncArchiveRepository,
    "embeddings": AsyncAIInteractionEmbeddingRepository,
}
WORD = TITLES[7].split()[0]
READS: list[tuple[str, str, Read, set[str]]] = [
    ("artists", "fuzzy", lambda r: r.fuzzy(ARTIST_NAMES[7] + "e"), {"ix_artists_name_trgm"}),
    ("artists", "full_text", lambda r: r.full_text(WORD), {"ix_artists_search_vector"}),
    (
        "artists",
        "search",
        lambda r: r.search(ARTIST_NAMES[7]),
        {"ix_artists_name_trgm", "ix_artists_search_vector"},
    ),
    ("artists", "suggest", lambda r: r.suggest(ARTIST_NAMES[7][:5]), {"ix_artists_name_trgm"}),
    ("tracks", "fuzzy", lambda r: r.fuzzy(TITLES[7][:-1]), {"ix_tracks_title_trgm"}),
    ("tracks", "full_text", lambda r: r.full_text(TITLES[7]), {"ix_tracks_search_vector"}),
    (
        "tracks",
        "search",
        lambda r: r.search(TITLES[7]),
        {"ix_tracks_title_trgm", "ix_tracks_search_vector"},
    ),
    ("tracks", "suggest", lambda r: r.suggest(TITLES[7][:4]), {"ix_tracks_title_trgm"}),
    ("archives", "newest", lambda r: r.newest(), {"ix_archives_created_at_id"}),
    ("archives", "newest: after", lambda r: r.newest(5, AFTER), {"ix_archives_created_at_id"}),
    (
        "archives",
        "holding_artist",
        lambda r: r.holding_artist(ARTIST_NAMES[7]),
        {"ix_archives_playlist_data"},
    ),
    (
        "archives",
        "holding_track",
        lambda r: r.holding_track(TITLES[7], ARTIST_NAMES[7]),
        {"ix_archives_playlist_data"},
    ),
    (
        "archives",
        "containing",
        lambda r: r.containing({"genre": "genre 7"}, 3, AFTER),
        {"ix_archives_playlist_data"},
    ),
    (
        "archives",
        "matching",
        lambda r: r.matching('$.genre ? (@ == "genre 7")'),
        {"ix_archives_playlist_data"},
    ),
    *(
        (
            "archives",
            f"with_key: {key}",
            lambda r, key=key: r.with_key(key, f"{key} 7"),
            {f"ix_archives_{key}"},
        )
        for key in ("genre", "mood", "source")
    ),
    (
        "archives",
        "where",
        lambda r: r.where(Archive.year.between(1950, 1951)),
        {"ix_archives_year"},
    ),
    ("archives", "with_key: year", lambda r: r.with_key("year", 1950), {"ix_archives_year"}),
    (
        "archives",
        "with_key_between",
        lambda r: r.with_key_between("year", 1950, 1951.5),
        {"ix_archives_year"},
    ),
    (
        "archives",
        "with_key_between: texts",
        lambda r: r.with_key_between("mood", "mood 7", "mood 8"),
        {"ix_archives_mood"},
    ),
    ("archives", "of_user", lambda r: r.of_user(USERS[7]), {"ix_archives_user_id"}),
    (
        "embeddings",
        "similar",
        lambda r: r.similar(VECTORS[7]),
        {"ix_ai_interaction_embeddings_embedding"},
    ),
    (
        "embeddings",
        "similar: of a model",
        lambda r: r.similar(VECTORS[7], model_name="m"),
        {"ix_ai_interaction_embeddings_embedding"},
    ),
    (
        "embeddings",
        "similar: of a user",
        lambda r: r.similar(VECTORS[7], 5, user_id=USERS[7]),
        {"ix_ai_interaction_embeddings_user_id"},
    ),
    (
        "embeddings",
        "nearest",
        lambda r: r.nearest(VECTORS[7], 3),
        {"ix_ai_interaction_embeddings_embedding"},
    ),
    ("embeddings", "pending", lambda r: r.pending("new", 2_900, 10), {"ai_logs_pkey"}),
    (
        "embeddings",
        "pending: changed",
        lambda r: r.pending("m", 10, 5, changed=True),
        {"ai_logs_pkey"},
    ),
    ("embeddings", "hold", lambda r: r.hold([1, 2, 99_999]), {"ai_logs_pkey"}),
]
every_read = pytest.mark.parametrize(
    ("table", "read", "indexes"),
    [pytest.param(t, read, indexes, id=f"{t} {name}") for t, name, read, indexes in READS],
)


@pytest.mark.parametrize("mode", MODES)
@every_read
def test_every_read_is_served_by_its_declared_index(
    table: str, read: Read, indexes: set[str], mode: str, session: Session
) -> None:
    with reported(session, mode) as plans:
        found = read(MUSIC[table](session))
    assert found
    (plan,) = plans
    assert indexes <= set(indexes_used(plan))


@every_read
def test_users_are_offered_the_same_proof(
    table: str,
    read: Read,
    indexes: set[str],
    session: Session,
    assert_uses_index: Callable[..., None],
) -> None:
    assert_uses_index(session, lambda: read(MUSIC[table](session)), *indexes)
    with pytest.raises(AssertionError, match=r"ix_none is not in the custom plan, which uses"):
        assert_uses_index(session, lambda: read(MUSIC[table](session)), *indexes, "ix_none")


def test_a_generic_plan_is_one_in_which_values_are_not_known(session: Session) -> None:
    for mode, known in (("force_custom_plan", True), ("force_generic_plan", False)):
        with reported(session, mode) as plans:
            ArchiveRepository(session).with_key("genre", "genre 7")
        assert ("'genre 7'" in json.dumps(plans)) == known
        assert ("$1" in json.dumps(plans)) != known


@every_read
def test_every_read_is_one_statement(
    table: str, read: Read, indexes: set[str], session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    read(MUSIC[table](session))
    assert len(sent) == 1


@pytest.mark.quick
@every_read
async def test_both_twins_answer_the_same(
    table: str,
    read: Callable[[Any], Awaitable[Any]],
    indexes: set[str],
    session: Session,
    async_session: AsyncSession,
) -> None:
    answer = read(MUSIC[table](session))
    assert await read(ASYNCHRONOUS[table](async_session)) == answer


@pytest.mark.quick
async def test_both_twins_save_the_same(session: Session, async_session: AsyncSession) -> None:
    new = [NewEmbedding(number, None, "n", "h", VECTORS[number]) for number in range(20)]
    everything = select(AIInteractionEmbedding.ai_log_id, AIInteractionEmbedding.content_hash)
    of_model = everything.where(AIInteractionEmbedding.model_name == "n").order_by(text("1"))
    assert AIInteractionEmbeddingRepository(session).save(new) == 20
    saved = session.execute(of_model).all()
    session.rollback()
    assert await AsyncAIInteractionEmbeddingRepository(async_session).save(new) == 20
    assert (await async_session.execute(of_model)).all() == saved
    await async_session.rollback()
