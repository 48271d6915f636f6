"""Similar fragrances, at a size at which indexes matter."""

import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from psycopg.types.json import Jsonb
from sqlalchemy import URL, Engine, create_engine, event, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pgmodern.errors import VectorError
from pgmodern.locks import driver
from pgmodern.queries.explain import indexes_used
from pgmodern.reference.fragrance import (
    AlgorithmPerformanceRepository,
    AsyncFragranceRepository,
    Fragrance,
    FragranceEmbedding,
    FragranceEmbeddingRepository,
    FragranceRepository,
)
from pgmodern.reference.fragrance.statements import OVERSAMPLING, oversampling
from pgmodern.testing.databases import database
from tests.plans import MODES, reported

FRAGRANCES, DIMENSIONS, BRANDS, POPULAR = 1_500, 2_048, 150, 400
IDS = [uuid.UUID(int=number) for number in range(FRAGRANCES)]
ACCORDS = ["woody", "rose", "citrus", "musk", "amber", "green", "sweet"]
HNSW = (
    Fragrance.embedding_hnsw,
    Fragrance.popular_hnsw,
    FragranceEmbedding.hnsw,
    FragranceEmbedding.hnsw_512,
    FragranceEmbedding.hnsw_128,
)


def _vectors() -> NDArray[np.float32]:
    """Make vectors whose first dimensions carry the most, as those of a Matryoshka model do."""
    chance = np.random.default_rng(6)
    spectrum = 1 / np.sqrt(np.arange(1, DIMENSIONS + 1))
    vectors = chance.normal(size=(FRAGRANCES, DIMENSIONS)) * spectrum
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


VECTORS = _vectors()


def _accords(number: int) -> list[str]:
    return [ACCORDS[number % 7], *(["chypre", "green"] if number % 100 == 0 else [])]


def _load(session: Session) -> None:
    for index in HNSW:  # built at once, for speed
        index.drop(session.connection())
    columns = "id, name, brand, description, accords, rating_value, rating_count, embedding"
    copy = f"COPY fragrances ({columns}) FROM STDIN".encode()
    with driver(session.connection()).cursor() as cursor, cursor.copy(copy) as rows:
        for number, vector in enumerate(VECTORS):
            popular = number < POPULAR
            rows.write_row(
                (
                    IDS[number],
                    f"Fragrance {number}",
                    f"Brand {number % BRANDS}",
                    f"smells of {ACCORDS[number % 7]}",
                    Jsonb(_accords(number)),
                    4.0 if popular else number % 40 / 10,
                    100 + number % 2 if popular else 99,
                    str(vector.tolist()),
                )
            )
    for index in HNSW:
        index.create(session.connection())


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database of a size at which indexes matter; every test rolls back what it did."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with Session(engine) as session:
            _load(session)
            session.commit()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield url


def _exact(vector: NDArray[np.float32], k: int, of: Any = range(FRAGRANCES)) -> list[uuid.UUID]:
    numbers = np.array(list(of))
    return [IDS[n] for n in numbers[np.argsort(-(VECTORS[numbers] @ vector), kind="stable")[:k]]]


def _ids(found: list[Any]) -> list[uuid.UUID]:
    return [hit.id for hit in found]


COARSE = "ix_fragrance_embeddings_multi_embedding_128"
KEY = "fragrance_embeddings_multi_pkey"
Read = Callable[[Any], Any]
READS: dict[str, tuple[Read, set[str]]] = {
    "similar: a fragrance": (lambda r: r.similar(IDS[7], 5), {COARSE, KEY}),
    "similar": (lambda r: r.similar(VECTORS[7], 5), {COARSE}),
    "similar: more": (lambda r: r.similar(VECTORS[7], 1, recall=0.99), {COARSE}),
    "similar: popular": (lambda r: r.similar(VECTORS[7], popular=True), {"ix_fragrances_popular"}),
    "similar: popular as a fragrance": (
        lambda r: r.similar(IDS[7], popular=True),
        {"ix_fragrances_popular", KEY},
    ),
    "similar: brand": (lambda r: r.similar(IDS[7], 5, brand="Brand 7"), {"ix_fragrances_brand"}),
    "similar: accords": (
        lambda r: r.similar(IDS[7], 5, accords=["green", "chypre"]),
        {"ix_fragrances_accords"},
    ),
    "fuzzy": (lambda r: r.fuzzy("Fragrnace 77"), {"ix_fragrances_name_trgm"}),
    "full_text": (lambda r: r.full_text("fragrance 77"), {"ix_fragrances_search_vector"}),
    "search": (
        lambda r: r.search("fragrance 77"),
        {"ix_fragrances_name_trgm", "ix_fragrances_search_vector"},
    ),
}
every_read = pytest.mark.parametrize(("read", "indexes"), READS.values(), ids=READS)


@pytest.mark.parametrize("mode", MODES)
@every_read
def test_every_read_is_served_by_its_index(
    read: Read, indexes: set[str], mode: str, session: Session
) -> None:
    with reported(session, mode) as collected:
        found = read(FragranceRepository(session))
    assert found
    (plan,) = collected
    assert indexes <= set(indexes_used(plan)), indexes_used(plan)


@pytest.mark.quick
def test_beliefs_and_what_is_pending_are_served_by_keys(
    session: Session, assert_uses_index: Callable[..., None]
) -> None:
    bandit = AlgorithmPerformanceRepository(session)
    key = "algorithm_performance_pkey"
    for read in (bandit.beliefs, lambda: bandit.choose("default", ["hybrid_recommendations"])):
        assert_uses_index(session, read, key, enable_seqscan=False)  # there are but four rows
    pending = FragranceEmbeddingRepository(session).pending
    for after in (None, IDS[7]):
        assert_uses_index(session, lambda after=after: pending(2, after, 10), "fragrances_pkey")


@pytest.mark.quick
def test_suggestions_can_be_served_by_their_index(
    session: Session, assert_uses_index: Callable[..., None]
) -> None:
    suggest = FragranceRepository(session).suggest
    name = Fragrance.name_trgm  # every name here begins with the same word
    assert_uses_index(session, lambda: suggest("Fragrance 77"), name, enable_seqscan=False)


FILTERS: list[dict[str, Any]] = [
    {},
    {"min_rating": 2.0},
    {"brand": "Brand 7"},
    {"accords": ["woody"]},
    {"words": "rose or citrus"},
    {"min_rating": 2.0, "brand": "Brand 7", "accords": ["woody"], "words": "woody"},
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("popular", [True, False])
@pytest.mark.parametrize("filters", FILTERS, ids=lambda each: " ".join(each) or "none")
def test_every_filter_leaves_the_nearest_to_their_index_where_many_pass(
    filters: dict[str, Any], popular: bool, mode: str, session: Session
) -> None:
    session.execute(text("SET LOCAL enable_sort = off"))  # as if there were very many
    with reported(session, mode) as collected:
        FragranceRepository(session).similar(VECTORS[7], popular=popular, **filters)
    (plan,) = collected
    assert ("ix_fragrances_popular" if popular else COARSE) in indexes_used(plan)


@every_read
def test_every_read_is_one_statement(
    read: Read, indexes: set[str], session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    read(FragranceRepository(session))
    assert len(sent) == 1


@pytest.mark.quick
@every_read
async def test_both_twins_answer_the_same(
    read: Callable[[Any], Awaitable[Any]],
    indexes: set[str],
    session: Session,
    async_session: AsyncSession,
) -> None:
    answer = read(FragranceRepository(session))
    assert await read(AsyncFragranceRepository(async_session)) == answer


def _recall(session: Session, numbers: range, k: int, of: Any, **options: Any) -> float:
    fragrances, found = FragranceRepository(session), 0
    for number in numbers:
        others = [each for each in of if each != number]
        nearest = _exact(VECTORS[number], k, others)
        found += len(set(nearest) & set(_ids(fragrances.similar(IDS[number], k, **options))))
    return found / (k * len(numbers))


@pytest.mark.parametrize("recall", OVERSAMPLING)
def test_those_that_are_truly_nearest_are_found(recall: float, session: Session) -> None:
    assert _recall(session, range(0, FRAGRANCES, 50), 10, range(FRAGRANCES), recall=recall) >= 0.9
    popular = range(POPULAR)
    assert _recall(session, range(0, FRAGRANCES, 50), 10, popular, popular=True) >= 0.9


@pytest.mark.quick
def test_more_recall_looks_at_more_and_none_is_promised_beyond_what_was_measured() -> None:
    assert oversampling(0) == oversampling(0.95) < oversampling(0.96) == oversampling(0.99)
    with pytest.raises(ValueError, match=r"0\.99"):
        oversampling(0.991)


def test_a_fragrance_is_not_similar_to_itself_and_a_vector_to_its_own(session: Session) -> None:
    fragrances = FragranceRepository(session)
    (hit, *_) = fragrances.similar(VECTORS[7])
    assert (hit.id, hit.name, hit.brand) == (IDS[7], "Fragrance 7", "Brand 7")
    assert (hit.rating_value, hit.rating_count) == (4.0, 101)
    assert hit.score == pytest.approx(1, abs=1e-3)
    for popular in (True, False):
        found = fragrances.similar(IDS[7], popular=popular)
        assert IDS[7] not in _ids(found)
        assert len(set(_ids(found))) == 10
        scores = [each.score for each in found]
        assert scores == sorted(scores, reverse=True)
        assert 0 < scores[-1] <= scores[0] < 1


@pytest.mark.parametrize("popular", [True, False])
@pytest.mark.parametrize("k", [0, 1, 30, 200, FRAGRANCES, 10_000])
def test_as_many_come_as_there_are(k: int, popular: bool, session: Session) -> None:
    found = _ids(FragranceRepository(session).similar(VECTORS[0], k, popular=popular))
    assert len(found) == len(set(found)) == min(k, POPULAR if popular else FRAGRANCES)


PASSING: list[tuple[dict[str, Any], Callable[[int], bool]]] = [
    ({"brand": "Brand 7"}, lambda n: n % BRANDS == 7),
    ({"accords": ["chypre"]}, lambda n: n % 100 == 0),
    ({"accords": ["green", "chypre"]}, lambda n: n % 100 == 0),
    ({"accords": ["chypre", "citrus"]}, lambda n: n % 700 == 100),
    ({"min_rating": 3.9}, lambda n: n < POPULAR or n % 40 == 39),
    ({"words": "rose"}, lambda n: n % 7 == 1),
    ({"words": "musk", "brand": "Brand 3", "min_rating": 1}, lambda n: n % 1050 == 3),
    ({"brand": ""}, lambda n: n < 0),
]


@pytest.mark.parametrize("popular", [True, False])
@pytest.mark.parametrize(
    ("filters", "passes"), PASSING, ids=[str(filters)[:40] for filters, _ in PASSING]
)
def test_filters_cost_no_rows_and_few_that_pass_are_ordered_exactly(
    filters: dict[str, Any], passes: Callable[[int], bool], popular: bool, session: Session
) -> None:
    passing = [n for n in range(POPULAR if popular else FRAGRANCES) if passes(n)]
    assert (passing == []) == (filters == {"brand": ""})
    fragrances = FragranceRepository(session)
    for asked, k in itertools.product((VECTORS[0], VECTORS[1_400]), (5, 10)):
        found = fragrances.similar(asked, k, popular=popular, **filters)
        assert set(_ids(found)) <= {IDS[n] for n in passing}
        assert len(found) == min(k, len(passing))
        if passing and len(passing) < 30:
            assert _ids(found) == _exact(asked, k, passing)


@pytest.mark.quick
def test_a_fragrance_without_direction_is_similar_to_none(session: Session) -> None:
    fragrances = FragranceRepository(session)
    values = {"brand": "Void", "name": "", "rating_value": 5, "rating_count": 100}
    vectors = [None, np.zeros(DIMENSIONS), VECTORS[3] * 1e30]
    insertion = insert(Fragrance).returning(Fragrance.id)
    none, void, loud = (
        session.scalars(insertion, [values | {"embedding": vector}]).one() for vector in vectors
    )
    for popular in (True, False):
        assert fragrances.similar(none, popular=popular) == []
        assert fragrances.similar(void, popular=popular) == []
        assert fragrances.similar(uuid.uuid4(), popular=popular) == []
        assert _ids(fragrances.similar(loud, 1, popular=popular)) == [IDS[3]]
        assert _ids(fragrances.similar(IDS[3], brand="Void", popular=popular)) == [loud]


@pytest.mark.quick
@pytest.mark.parametrize(
    "vector", [[1, 2], [float("nan")] * 2048, ["1"] * 2048, np.ones((1, 2048)), np.zeros(2048)]
)
def test_a_wrong_vector_is_refused_before_anything_is_sent(vector: Any, session: Session) -> None:
    with pytest.raises(VectorError):
        FragranceRepository(session).similar(vector)
    assert not session.in_transaction()


_anything = st.text(st.characters(exclude_categories=[]))
_operators = st.lists(st.sampled_from(["'", '"', "\\", "-", "%", "\x00", "\ud800", "("])).map(
    "".join
)


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=_anything | _operators, number=st.floats(), popular=st.booleans())
def test_no_text_and_no_number_ever_makes_a_search_fail(
    asked: str, number: float, popular: bool, session: Session
) -> None:
    fragrances = FragranceRepository(session)
    for filters in (
        {"brand": asked},
        {"accords": [asked, "woody"]},
        {"words": asked},
        {"min_rating": number},
    ):
        for hit in fragrances.similar(IDS[7], 3, popular=popular, **filters):
            assert 0 <= hit.score <= 1
    assert all(0 <= hit.score <= 1 for hit in fragrances.fuzzy(asked, 3))


# --- versions


def test_every_search_reads_the_version_that_is_current(session: Session) -> None:
    embeddings, fragrances = FragranceEmbeddingRepository(session), FragranceRepository(session)
    before = {popular: fragrances.similar(IDS[7], popular=popular) for popular in (True, False)}
    embeddings.add_version(2, "another model")
    embeddings.save(2, ((IDS[n], VECTORS[-1 - n]) for n in range(200)))
    for popular in (True, False):
        assert fragrances.similar(IDS[7], popular=popular) == before[popular]
    assert embeddings.switch(2)
    for popular in (True, False):
        (hit, *_) = fragrances.similar(VECTORS[-8], popular=popular)
        assert hit.id == IDS[7]
        assert len(fragrances.similar(IDS[7], 500, popular=popular)) == 199
        assert fragrances.similar(IDS[300], popular=popular) == []


@pytest.mark.quick
def test_a_change_of_the_embedding_is_found_at_once(session: Session) -> None:
    fragrances = FragranceRepository(session)
    session.execute(update(Fragrance).where(Fragrance.id == IDS[9]).values(embedding=VECTORS[3]))
    for popular in (True, False):
        assert _ids(fragrances.similar(IDS[3], 1, popular=popular)) == [IDS[9]]
    session.execute(update(Fragrance).where(Fragrance.id == IDS[9]).values(embedding=None))
    assert (
        session.scalar(
            select(FragranceEmbedding.version).where(FragranceEmbedding.fragrance_id == IDS[9])
        )
        is None
    )
    assert IDS[9] not in _ids(fragrances.similar(IDS[3], 1_000))
