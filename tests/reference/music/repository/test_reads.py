"""What the repositories find."""

import uuid
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.orm import Session

from pgmodern.errors import VectorError
from pgmodern.reference.music import (
    AIInteractionEmbeddingRepository,
    AILog,
    Archive,
    ArchiveRepository,
    ArtistHit,
    ArtistRepository,
    NewEmbedding,
    PendingLog,
    TrackHit,
    TrackRepository,
)
from tests.reference.music.repository.library import ARCHIVES, EMBEDDINGS, START, USERS, VECTORS


def test_a_misspelt_title_and_artist_are_found(beatles: Session) -> None:
    (hit, *_) = TrackRepository(beatles).fuzzy("yestreday")
    assert (hit.id, hit.title, hit.artist, hit.album) == (
        90_001,
        "Yesterday",
        "The Beatles",
        "Help!",
    )
    assert ArtistRepository(beatles).fuzzy("the beetles")[0].name == "The Beatles"


def test_words_are_found_without_accents_and_a_title_before_an_album(beatles: Session) -> None:
    assert [hit.title for hit in TrackRepository(beatles).full_text("help")] == [
        "Help!",
        "Yesterday",
    ]
    (hit,) = TrackRepository(beatles).full_text("deja")
    assert (hit.title, hit.highlight) == ("Déjà Vu", "<b>Déjà</b> Vu / B&#x27;Day")
    (artist,) = ArtistRepository(beatles).full_text("beyonce")
    assert artist == ArtistHit(90_002, "Beyoncé", artist.score, "<b>Beyoncé</b>")


def test_what_words_and_similarity_agree_on_comes_first(beatles: Session) -> None:
    assert TrackRepository(beatles).search("hello goodbye")[0] == TrackHit(
        90_002, "Hello, Goodbye", "The Beatles", None, 1.0
    )
    assert TrackRepository(beatles).search("yesterdya")[0].title == "Yesterday"


def _archive(session: Session, **tracks: Any) -> uuid.UUID:
    statement = insert(Archive).values(user_id=USERS[0], name="mine", playlist_data=tracks)
    return session.execute(statement.returning(Archive.id)).scalar_one()


@pytest.mark.parametrize(
    "name",
    ["Beyoncé", "  spaced  ", "x" * 600, 'quo"ted \\ 100% _', "\\u0000", "", "雪", "\x01"],
    ids=lambda name: repr(name)[:14],
)
def test_a_playlist_is_found_by_exactly_what_it_holds(name: str, session: Session) -> None:
    archives = ArchiveRepository(session)
    tracks = [{"artist": name, "title": "T"}, {"artist": "A", "title": name}]
    held = _archive(session, tracks=tracks, genre=name)
    assert [hit.id for hit in archives.holding_artist(name).rows] == [held]
    assert [hit.id for hit in archives.holding_track(name).rows] == [held]
    assert [hit.id for hit in archives.holding_track("T", name).rows] == [held]
    assert [hit.id for hit in archives.with_key("genre", name).rows] == [held]
    if len(name) < 256:
        assert [hit.id for hit in archives.with_key_between("genre", name, name).rows] == [held]
    assert archives.holding_track("T", "A").rows == []
    for other in (f"{name}!", f"!{name}", f" {name}"):
        assert archives.holding_artist(other).rows == []
        assert archives.with_key("genre", other).rows == []


def test_pages_of_archives_hold_each_once_and_the_newest_first(session: Session) -> None:
    archives = ArchiveRepository(session)
    page = archives.with_key("genre", "genre 7", 10)
    rows = list(page.rows)
    while page.after is not None:
        page = archives.with_key("genre", "genre 7", 10, page.after)
        rows += page.rows
    assert len({hit.id for hit in rows}) == len(rows) == len(range(7, ARCHIVES, 60))
    assert rows == sorted(rows, key=lambda hit: (hit.created_at, hit.id), reverse=True)


def test_a_range_is_open_where_no_end_is_given(session: Session) -> None:
    archives = ArchiveRepository(session)
    held = _archive(session, tracks=[], year=3000)
    assert [hit.id for hit in archives.with_key_between("year", 2999.5, None).rows] == [held]
    assert [hit.id for hit in archives.with_key_between("year", 2020, 3000).rows] == [held]
    assert archives.with_key_between("year", None, 1899).rows == []
    assert len(archives.with_key_between("year", None, None, size=9000).rows) == ARCHIVES + 1
    assert len(archives.with_key("year", 1900, size=9000).rows) == len(range(0, ARCHIVES, 120))


def _exact(vector: NDArray[np.float32], k: int, of: range = range(EMBEDDINGS)) -> list[int]:
    similarity = np.stack([VECTORS[number] for number in of]) @ vector
    return [of[place] for place in np.argsort(-similarity, kind="stable")[:k]]


def test_logs_like_this_are_those_of_an_exact_search(session: Session) -> None:
    embeddings = AIInteractionEmbeddingRepository(session)
    hits = 0
    for number in range(0, EMBEDDINGS, 300):
        found = embeddings.similar(VECTORS[number], 10)
        assert found[0].ai_log_id == number
        assert found[0].score == pytest.approx(1)
        assert (found[0].prompt, found[0].response) == (f"prompt {number}", f"response {number}")
        hits += len({hit.ai_log_id for hit in found} & set(_exact(VECTORS[number], 10)))
    assert hits >= 90  # of 100; vectors at random have no neighbourhood, so this is the worst case


def test_as_many_logs_come_as_there_are_whatever_the_filter(session: Session) -> None:
    embeddings = AIInteractionEmbeddingRepository(session)
    of_user = range(7, EMBEDDINGS, len(USERS))
    found = embeddings.similar(VECTORS[0], 20, user_id=USERS[7])
    assert len({hit.ai_log_id for hit in found} & set(_exact(VECTORS[0], 20, of_user))) >= 18
    assert len(found) == 20
    assert len(embeddings.similar(VECTORS[0], 1000, user_id=USERS[7])) == len(of_user)
    assert len(embeddings.similar(VECTORS[0], 500)) == 500
    assert embeddings.similar(VECTORS[0], model_name="other") == []
    assert embeddings.similar(VECTORS[0], since=datetime.now(UTC) + timedelta(days=1)) == []
    assert len(embeddings.similar(VECTORS[0], since=START, model_name="m")) == 10


@pytest.mark.parametrize(
    "vector", [[1, 2], [float("nan")] * 1536, ["1"] * 1536, np.ones((1, 1536))]
)
def test_a_wrong_vector_is_refused_before_anything_is_sent(vector: Any, session: Session) -> None:
    embeddings = AIInteractionEmbeddingRepository(session)
    with pytest.raises(VectorError):
        embeddings.similar(vector)
    assert not session.in_transaction()


@pytest.mark.quick
def test_logs_are_pending_until_they_are_embedded_and_again_when_they_change(
    session: Session,
) -> None:
    session.execute(delete(AILog))
    for number, response in enumerate(["äöü 雪 \U0001f600", None, "", "x" * 10_000]):
        session.add(
            AILog(id=number, user_id=USERS[0], prompt=f"prompt {number}", response=response)
        )
    session.flush()
    embeddings = AIInteractionEmbeddingRepository(session)
    pending = embeddings.pending("m", -1)
    assert [log.content for log in pending] == [
        "prompt 0\näöü 雪 \U0001f600",
        "prompt 1",
        "prompt 2\n",
        "prompt 3\n" + "x" * 10_000,
    ]
    assert pending[0].content_hash == sha256(pending[0].content.encode()).hexdigest()
    embeddings.save(
        NewEmbedding(log.id, log.user_id, "m", log.content_hash, VECTORS[0]) for log in pending
    )
    assert embeddings.pending("m", -1) == []
    assert embeddings.pending("m", -1, changed=True) == []
    assert len(embeddings.pending("other", -1)) == 4
    session.execute(update(AILog).where(AILog.id == 2).values(response=None))
    assert embeddings.pending("m", -1) == []
    assert embeddings.pending("m", -1, changed=True) == [PendingLog(2, USERS[0], "prompt 2")]


def test_pending_logs_come_by_id_after_the_last_one_seen(session: Session) -> None:
    embeddings = AIInteractionEmbeddingRepository(session)
    assert [log.id for log in embeddings.pending("new", 10, 3)] == [11, 12, 13]
    assert [log.id for log in embeddings.pending("new", EMBEDDINGS - 2)] == [EMBEDDINGS - 1]
    assert embeddings.pending("new", EMBEDDINGS) == []
    assert embeddings.pending("new", 0, 0) == []


def test_a_held_log_cannot_be_deleted_until_the_commit(session: Session, engine: Engine) -> None:
    assert AIInteractionEmbeddingRepository(session).hold([5, 6, 10**9]) == {5, 6}
    assert AIInteractionEmbeddingRepository(session).hold([]) == set()
    skip = select(AILog.id).where(AILog.id.in_([5, 7])).with_for_update(skip_locked=True)
    with engine.connect() as other:
        assert other.execute(skip).scalars().all() == [7]
