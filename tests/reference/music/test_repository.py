"""What the music application asks, at a size at which indexes matter."""

import json
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from psycopg.types.json import Jsonb
from sqlalchemy import URL, Engine, create_engine, delete, event, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern.errors import DocumentError, VectorError
from pgmodern.pytest_plugin import _database
from pgmodern.queries.explain import indexes_used
from pgmodern.reference.music import (
    AIInteractionEmbedding,
    AIInteractionEmbeddingRepository,
    AILog,
    Archive,
    ArchiveRepository,
    Artist,
    ArtistHit,
    ArtistRepository,
    AsyncAIInteractionEmbeddingRepository,
    AsyncArchiveRepository,
    AsyncArtistRepository,
    AsyncTrackRepository,
    NewEmbedding,
    PendingLog,
    Track,
    TrackHit,
    TrackRepository,
)
from pgmodern.repositories import SearchRepository
from tests.plans import MODES, plans

ARTISTS, TRACKS, ARCHIVES, EMBEDDINGS = 2_000, 20_000, 5_000, 3_000
START = datetime(2026, 1, 1, tzinfo=UTC)
USERS = [uuid.UUID(int=number) for number in range(100)]
SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]


class Chance(random.Random):
    """Names, documents and vectors that are the same in each run."""

    def name(self, most: int) -> str:
        words = ("".join(self.choices(SYLLABLES, k=self.randint(1, 4))) for _ in range(most))
        return " ".join(word.title() for word in list(words)[: self.randint(1, most)])

    def unit(self) -> NDArray[np.float32]:
        vector = np.random.default_rng(self.getrandbits(32)).normal(size=1536)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


CHANCE = Chance(5)
ARTIST_NAMES = [CHANCE.name(2) for _ in range(ARTISTS)]
TITLES = [CHANCE.name(4) for _ in range(TRACKS)]
VECTORS = [CHANCE.unit() for _ in range(EMBEDDINGS)]


def _playlist(number: int) -> dict[str, Any]:
    tracks = [
        {"artist": ARTIST_NAMES[track % ARTISTS], "title": TITLES[track]}
        for track in CHANCE.sample(range(TRACKS), 15)
    ]
    return {
        "tracks": tracks,
        "genre": f"genre {number % 60}",
        "mood": f"mood {number % 70}",
        "source": f"source {number % 80}",
        "year": 1900 + number % 120,
    }


def _load(driver: psycopg.Connection[Any]) -> None:
    rows: dict[str, Iterator[tuple[Any, ...]]] = {
        "artists (id, name)": enumerate(ARTIST_NAMES),
        "tracks (id, artist_id, title, album)": (
            (number, number % ARTISTS, title, TITLES[-number % 500] if number % 3 else None)
            for number, title in enumerate(TITLES)
        ),
        "archives (id, user_id, name, playlist_data, created_at)": (
            (
                uuid.UUID(int=number),
                USERS[number % len(USERS)],
                f"Playlist {number}",
                Jsonb(_playlist(number)),
                START + timedelta(minutes=number // 2),
            )
            for number in range(ARCHIVES)
        ),
        "ai_logs (id, user_id, prompt, response)": (
            (number, USERS[number % len(USERS)], f"prompt {number}", f"response {number}")
            for number in range(EMBEDDINGS)
        ),
    }
    for table, values in rows.items():
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in values:
                copy.write_row(row)


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database of a realistic size; every test rolls back what it did."""
    with _database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with Session(engine) as session:
            driver = session.connection().connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            _load(driver)
            vectors = AIInteractionEmbedding.embedding_hnsw  # built at once, for speed
            vectors.drop(session.connection())
            AIInteractionEmbeddingRepository(session).save(
                NewEmbedding(number, USERS[number % len(USERS)], "m", "hash", vector)
                for number, vector in enumerate(VECTORS)
            )
            vectors.create(session.connection())
            session.commit()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            # Two sessions of one test that wait for each other would do so for ever.
            connection.execute(text(f"ALTER DATABASE {url.database} SET lock_timeout = '5s'"))
        yield url


AFTER = (START + timedelta(minutes=1000), uuid.UUID(int=2001))
BETWEEN = {"low": 1950, "high": 1951}
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
    ("archives", "newest after", lambda r: r.newest(5, AFTER), {"ix_archives_created_at_id"}),
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
            f"with_key {key}",
            lambda r, key=key: r.with_key(key, f"{key} 7"),
            {f"ix_archives_{key}"},
        )
        for key in ("genre", "mood", "source")
    ),
    ("archives", "with_key year", lambda r: r.with_key("year", 1950), {"ix_archives_year"}),
    (
        "archives",
        "with_key_between",
        lambda r: r.with_key_between("year", 1950, 1951.5),
        {"ix_archives_year"},
    ),
    (
        "archives",
        "with_key_between texts",
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
        "similar of a model",
        lambda r: r.similar(VECTORS[7], model_name="m"),
        {"ix_ai_interaction_embeddings_embedding"},
    ),
    (
        "embeddings",
        "similar of a user",
        lambda r: r.similar(VECTORS[7], 5, user_id=USERS[7]),
        {"ix_ai_interaction_embeddings_user_id"},
    ),
    ("embeddings", "pending", lambda r: r.pending("new", 2_900, 10), {"ai_logs_pkey"}),
    (
        "embeddings",
        "pending changed",
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
    with plans(session, mode) as collected:
        found = read(MUSIC[table](session))
    assert found
    (plan,) = collected
    assert indexes <= set(indexes_used(plan))


def test_a_generic_plan_is_one_in_which_values_are_not_known(session: Session) -> None:
    for mode, known in (("force_custom_plan", True), ("force_generic_plan", False)):
        with plans(session, mode) as collected:
            ArchiveRepository(session).with_key("genre", "genre 7")
        assert ("'genre 7'" in json.dumps(collected)) == known
        assert ("$1" in json.dumps(collected)) != known


@every_read
def test_every_read_is_one_statement(
    table: str, read: Read, indexes: set[str], session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    read(MUSIC[table](session))
    assert len(sent) == 1


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


# --- what is found


@pytest.fixture
def beatles(session: Session) -> Session:
    """A session with a few tracks that everybody knows, among all the others."""
    artist = Artist(id=90_001, name="The Beatles")
    session.add_all([artist, Artist(id=90_002, name="Beyoncé")])
    session.flush()
    tracks = [
        Track(id=90_001, artist_id=90_001, title="Yesterday", album="Help!"),
        Track(id=90_002, artist_id=90_001, title="Hello, Goodbye"),
        Track(id=90_003, artist_id=90_002, title="Déjà Vu", album="B'Day"),
        Track(id=90_004, artist_id=90_001, title="Help!", album="Help!"),
    ]
    session.add_all(tracks)
    session.flush()
    return session


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


# --- what has no embedding yet


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


# --- hostile input

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
            assert read == archives.matching or not _storable(asked)


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
