"""What the audio application asks, at a size at which indexes matter."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import URL, Engine, create_engine, delete, event, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern.embedders import AsyncEmbedder, padded, unit
from pgmodern.errors import EmbedderError
from pgmodern.queries.explain import indexes_used
from pgmodern.reference.audio import (
    AsyncSampleRepository,
    NewSampleEmbedding,
    PendingSample,
    Sample,
    SampleEmbedding,
    SampleHit,
    SampleRepository,
    VibeAnalysis,
)
from pgmodern.testing.databases import database
from tests.plans import reported

SAMPLES, EMBEDDED, GROUPS = 6_000, 5_000, 100
HNSW = "ix_sample_embeddings_vibe_vector"
CHANCE = np.random.default_rng(6)
# Clouds in which a sample has neighbours above the threshold, as real vibes have. In few
# dimensions, padded: a build takes seconds.
CENTRES = CHANCE.normal(size=(GROUPS, 32))
SHORT = unit(CENTRES[np.arange(EMBEDDED) % GROUPS] + CHANCE.normal(size=(EMBEDDED, 32)) * 0.3)
BPM = CHANCE.uniform(60, 180, size=SAMPLES)
ENERGY = CHANCE.uniform(0, 1, size=SAMPLES)
GENRES = [f"genre {number % 50}" for number in CHANCE.integers(50, size=SAMPLES)]
KEYS = [f"key {number}" for number in CHANCE.integers(24, size=SAMPLES)]


NUMBERS = {str(number) for number in range(EMBEDDED)}


class Numbers:
    """A model for which a text is the number of a sample, or nothing."""

    model_name = "numbers"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        zeros = np.zeros(32, np.float32)
        return np.stack([SHORT[int(t)] if t in NUMBERS else zeros for t in texts])


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database of a realistic size; every test rolls back what it did."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with Session(engine) as session:
            _load(session)
            session.commit()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            # Two sessions of one test that wait for each other would do so for ever.
            connection.execute(text(f"ALTER DATABASE {url.database} SET lock_timeout = '5s'"))
        yield url


def _load(session: Session) -> None:
    samples = [
        {"id": n, "title": f"Loop {n}", "bpm": BPM[n], "genre": GENRES[n], "musical_key": KEYS[n]}
        for n in range(SAMPLES)
    ]
    session.execute(insert(Sample), samples)
    analyses = [{"sample_id": n, "mood": "calm", "energy": ENERGY[n]} for n in range(SAMPLES)]
    session.execute(insert(VibeAnalysis), analyses)
    vectors = SampleEmbedding.vibe_hnsw  # built at once, for speed
    vectors.drop(session.connection())
    SampleRepository(session).save(
        NewSampleEmbedding(number, vector, "numbers", "hash")
        for number, vector in enumerate(padded(SHORT, 1536))
    )
    vectors.create(session.connection())


def made(session: Session) -> SampleRepository:
    """Return the repository with the model."""
    return SampleRepository(session, Numbers())


Read = Callable[[Any], Any]
READS: dict[str, tuple[Read, set[str]]] = {
    "search_by_vibe": (lambda r: r.search_by_vibe("7"), {HNSW}),
    "search_by_vibe: most pass": (lambda r: r.search_by_vibe("7", 20, bpm_min=70), {HNSW}),
    "search_by_vibe: some pass": (
        lambda r: r.search_by_vibe("7", bpm_min=60, bpm_max=130, energy_max=0.9, threshold=0.2),
        {HNSW},
    ),
    "search_by_vibe: by genre": (
        lambda r: r.search_by_vibe("7", genre=GENRES[7], threshold=0),
        {"ix_samples_genre"},
    ),
    "search_by_vibe: by key": (
        lambda r: r.search_by_vibe("7", musical_key=KEYS[7], threshold=0),
        {"ix_samples_musical_key"},
    ),
    "search_by_vibe: by tempo": (
        lambda r: r.search_by_vibe("7", bpm_min=99, bpm_max=101, threshold=0),
        {"ix_samples_bpm"},
    ),
    "search_by_vibe: by energy": (
        lambda r: r.search_by_vibe("7", energy_min=0.5, energy_max=0.51, threshold=0),
        {"ix_vibe_analysis_energy"},
    ),
    "find_similar": (lambda r: r.find_similar(7), {HNSW, "sample_embeddings_sample_id_key"}),
    "nearest": (lambda r: r.nearest(padded(SHORT[7:8], 1536)[0], 3), {HNSW}),
    "pending": (lambda r: r.pending("numbers", 4_000, 10), {"samples_pkey"}),
    "pending: changed": (
        lambda r: r.pending("numbers", 10, 5, changed=True),
        {"samples_pkey"},
    ),
    "hold": (lambda r: r.hold([1, 2, 99_999]), {"samples_pkey"}),
}
every_read = pytest.mark.parametrize(
    ("read", "indexes"), [pytest.param(*read, id=name) for name, read in READS.items()]
)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@every_read
def test_every_read_is_served_by_its_declared_index(
    read: Read, indexes: set[str], mode: str, session: Session
) -> None:
    with reported(session, mode) as plans:
        assert read(made(session))
    (plan,) = plans
    assert indexes <= set(indexes_used(plan))


@every_read
def test_every_read_is_one_statement(
    read: Read, indexes: set[str], session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    read(made(session))
    assert len(sent) == 1


@every_read
async def test_both_twins_answer_the_same(
    read: Callable[[Any], Awaitable[Any]],
    indexes: set[str],
    session: Session,
    async_session: AsyncSession,
) -> None:
    answer = read(made(session))
    assert await read(AsyncSampleRepository(async_session, AsyncEmbedder(Numbers()))) == answer


@pytest.mark.quick
async def test_both_twins_save_the_same(session: Session, async_session: AsyncSession) -> None:
    new = [
        NewSampleEmbedding(number, vector, "n", "h")
        for number, vector in zip(range(4_990, 5_010), padded(SHORT[:20], 1536), strict=True)
    ]
    query = select(SampleEmbedding.sample_id).filter_by(embedding_source="n").order_by(text("1"))
    assert SampleRepository(session).save(new) == 20
    saved = session.scalars(query).all()
    session.rollback()
    assert await AsyncSampleRepository(async_session).save(new) == 20
    assert (await async_session.scalars(query)).all() == saved == list(range(4_990, 5_010))
    await async_session.rollback()


# --- what is found


def _nearest(of: int, k: int, passing: NDArray[np.bool_], threshold: float = 0.7) -> list[int]:
    """Return what an exact search finds."""
    similarity = np.maximum(SHORT @ SHORT[of], 0)
    order = np.argsort(-similarity, kind="stable")
    near = [int(n) for n in order if passing[n] and similarity[n] >= threshold]
    return near[:k]


EVERY = np.ones(EMBEDDED, dtype=bool)
TEMPO, POWER = BPM[:EMBEDDED], ENERGY[:EMBEDDED]
OF_GENRE = np.array(GENRES[:EMBEDDED]) == "genre 7"
OF_KEY = np.array(KEYS[:EMBEDDED]) == "key 7"
FILTERS: dict[str, tuple[dict[str, Any], NDArray[np.bool_]]] = {
    "none": ({}, EVERY),
    "half": ({"bpm_min": 120}, TEMPO >= 120),
    "a tenth": ({"bpm_min": 100, "bpm_max": 112}, (TEMPO >= 100) & (TEMPO <= 112)),
    "most": ({"energy_max": 0.9}, POWER <= 0.9),
    "genre": ({"genre": "genre 7"}, OF_GENRE),
    "genre and key": ({"genre": "genre 7", "musical_key": "key 7"}, OF_GENRE & OF_KEY),
    "all": (
        {
            "bpm_min": 60,
            "bpm_max": 170,
            "energy_min": 0.1,
            "energy_max": 0.9,
            "genre": "genre 7",
            "musical_key": "key 7",
        },
        OF_GENRE & OF_KEY & (TEMPO <= 170) & (POWER >= 0.1) & (POWER <= 0.9),
    ),
    "nobody": ({"genre": "none"}, ~EVERY),
}


@pytest.mark.parametrize("threshold", [0.0, 0.7, 0.9])
@pytest.mark.parametrize("name", FILTERS)
def test_filters_and_thresholds_cost_no_row(name: str, threshold: float, session: Session) -> None:
    filters, passing = FILTERS[name]
    for of in range(0, EMBEDDED, 1_000):
        for k in (1, 10, 60):
            found = made(session).search_by_vibe(str(of), k, threshold=threshold, **filters)
            exact = _nearest(of, k, passing, threshold)
            assert len(found) == len(exact)
            ids = {hit.sample_id for hit in found}
            sure = {number for number in exact if SHORT[number] @ SHORT[of] > 0}  # no ties
            assert len(ids & sure) >= 0.9 * len(sure)
            assert all(passing[number] for number in ids)
            scores = [hit.similarity for hit in found]
            assert scores == sorted(scores, reverse=True)
            assert all(threshold <= score <= 1 for score in scores)


@pytest.mark.quick
def test_a_hit_says_all_of_the_sample(session: Session) -> None:
    first, *_ = made(session).search_by_vibe("7", 1)
    assert first == SampleHit(
        7, "Loop 7", GENRES[7], KEYS[7], BPM[7], None, "calm", ENERGY[7], [], first.similarity
    )
    assert first.similarity == pytest.approx(1)


def test_the_threshold_is_0_7_unless_another_is_given(session: Session) -> None:
    exact = _nearest(7, 100, EVERY)
    assert 10 < len(exact) < 100
    found = made(session).search_by_vibe("7", 100)
    assert {hit.sample_id for hit in found} == set(exact)
    assert len(made(session).search_by_vibe("7", 100, threshold=0)) == 100


def test_a_sample_without_an_analysis_is_found_but_by_no_energy(session: Session) -> None:
    session.execute(delete(VibeAnalysis).filter_by(sample_id=7))
    first, *_ = made(session).search_by_vibe("7", 1)
    assert (first.sample_id, first.mood, first.energy, first.descriptors) == (7, None, None, None)
    found = made(session).search_by_vibe("7", 100, energy_min=0)
    found += made(session).search_by_vibe("7", 100, energy_max=1)
    assert 7 not in {hit.sample_id for hit in found}


def test_others_like_a_sample_are_those_of_an_exact_search_without_itself(
    session: Session,
) -> None:
    for of in range(0, EMBEDDED, 500):
        found = SampleRepository(session).find_similar(of, 20)
        assert found is not None
        exact = _nearest(of, 21, EVERY)[1:]
        assert len(found) == len(exact) == 20
        assert len({hit.sample_id for hit in found} & set(exact)) >= 18
        assert of not in {hit.sample_id for hit in found}
        scores = [hit.similarity for hit in found]
        assert scores == sorted(scores, reverse=True)


def test_as_many_like_it_come_as_were_asked_for_among_many_that_are_the_same(
    session: Session,
) -> None:
    (same,) = padded(SHORT[:1], 1536)
    SampleRepository(session).save(
        NewSampleEmbedding(number, same, "m", "h") for number in range(300)
    )
    found = SampleRepository(session).find_similar(5, 50)
    assert found is not None
    assert len({hit.sample_id for hit in found} - {5}) == 50
    assert min(hit.similarity for hit in found) == pytest.approx(1)


@pytest.mark.quick
def test_a_sample_that_nothing_is_like_has_none_and_one_that_is_not_embedded_is_unknown(
    session: Session,
) -> None:
    lonely = np.zeros(1536, np.float32)
    lonely[-1] = 1
    SampleRepository(session).save([NewSampleEmbedding(7, lonely, "m", "h")])
    assert SampleRepository(session).find_similar(7) == []
    assert len(SampleRepository(session).find_similar(7, threshold=0) or ()) == 10
    assert SampleRepository(session).find_similar(EMBEDDED) is None
    assert SampleRepository(session).find_similar(SAMPLES) is None


def test_a_query_that_says_nothing_finds_nothing(session: Session) -> None:
    assert made(session).search_by_vibe("nothing") == []
    assert made(session).search_by_vibe("nothing", bpm_min=80) == []


def test_a_search_by_text_needs_a_model(session: Session) -> None:
    with pytest.raises(EmbedderError, match="no embedding model"):
        SampleRepository(session).search_by_vibe("7")
    assert not session.in_transaction()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.text(st.characters(exclude_categories=[])),
    numbers=st.tuples(st.floats(), st.floats(), st.floats(), st.floats()),
)
@example(words="\x00'; DROP TABLE samples; --", numbers=(float("nan"), 0, 1e308, float("-inf")))
@example(words="\ud800", numbers=(0, 0, 0, 0))
def test_nothing_ever_makes_a_search_fail(
    session: Session, words: str, numbers: tuple[float, ...]
) -> None:
    low, high, weak, strong = numbers
    made(session).search_by_vibe(words, 3, genre=words, musical_key=words)
    made(session).search_by_vibe(
        words, 3, bpm_min=low, bpm_max=high, energy_min=weak, energy_max=strong
    )


# --- what has no embedding yet


@pytest.mark.quick
def test_samples_are_pending_until_they_are_embedded_and_again_when_they_change(
    session: Session,
) -> None:
    samples = SampleRepository(session)
    pending = samples.pending("m", EMBEDDED - 2, 3)
    assert [sample.id for sample in pending] == [EMBEDDED, EMBEDDED + 1, EMBEDDED + 2]
    assert pending[0].content_hash == sha256(pending[0].content.encode()).hexdigest()
    vector = padded(SHORT[:1], 1536)[0]
    samples.save(NewSampleEmbedding(p.id, vector, "m", p.content_hash) for p in pending)
    assert samples.pending("m", EMBEDDED, 1)[0].id == EMBEDDED + 3
    assert samples.pending("m", EMBEDDED - 1, 1, changed=True)[0].id == EMBEDDED + 3
    assert samples.pending("n", EMBEDDED - 1, 1, changed=True)[0].id == EMBEDDED
    session.execute(delete(VibeAnalysis).filter_by(sample_id=EMBEDDED))
    session.execute(update(Sample).filter_by(id=EMBEDDED).values(title="x", genre=None, bpm=None))
    content = f"x, {KEYS[EMBEDDED]}"
    assert samples.pending("m", EMBEDDED - 1, 1, changed=True) == [PendingSample(EMBEDDED, content)]
    assert samples.pending("m", SAMPLES) == []


def test_a_held_sample_cannot_be_deleted_until_the_commit(session: Session, engine: Engine) -> None:
    assert SampleRepository(session).hold([5, 6, 10**9]) == {5, 6}
    assert SampleRepository(session).hold([]) == set()
    skip = select(Sample.id).where(Sample.id.in_([5, 7])).with_for_update(skip_locked=True)
    with engine.connect() as other:
        assert other.execute(skip).scalars().all() == [7]
