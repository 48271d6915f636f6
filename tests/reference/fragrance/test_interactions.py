"""What users do, what belongs together, what pleases."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.errors import DocumentError
from pgmodern.queries import Reach
from pgmodern.queries.explain import indexes_used
from pgmodern.reference.fragrance import (
    AlgorithmPerformance,
    AlgorithmPerformanceRepository,
    AsyncAlgorithmPerformanceRepository,
    AsyncFragranceRelationshipRepository,
    AsyncUserInteractionEventRepository,
    Belief,
    Event,
    Fragrance,
    FragranceRelationshipRepository,
    Neighbour,
    NewEvent,
    Path,
    Relationship,
    User,
    UserInteractionEvent,
    UserInteractionEventRepository,
)
from tests.plans import MODES, reported

IDS = [uuid.UUID(int=number) for number in range(50)]
START = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT = [
    "collaborative_filtering",
    "content_based",
    "hybrid_recommendations",
    "trending_algorithm",
]


def _event(number: int, **given: Any) -> NewEvent:
    values: dict[str, Any] = {
        "user_id": IDS[number % 5],
        "event_type": "view",
        "fragrance_id": IDS[number % 50] if number % 3 else None,
        "timestamp": START + timedelta(minutes=number),
        "id": uuid.UUID(int=number),
    }
    return NewEvent(**(values | given))


EVENTS = [_event(number) for number in range(2_000)]


def _numbers(events: list[Event]) -> list[int]:
    return [event.id.int for event in events]


# --- events


def test_events_are_claimed_in_their_order_and_done_once(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    assert events.record(reversed(EVENTS[:30])) == 30
    claimed = events.claim(10)
    assert _numbers(claimed) == list(range(10))
    assert claimed[1] == Event(
        uuid.UUID(int=1), IDS[1], IDS[1], "view", {}, START + timedelta(minutes=1)
    )
    assert events.acknowledge([event.id for event in claimed]) == 10
    assert events.acknowledge([event.id for event in claimed]) == 0
    assert _numbers(events.claim()) == list(range(10, 30))


def test_an_event_that_is_recorded_again_is_there_once_and_stays_done(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record(EVENTS[:10])
    events.acknowledge([EVENTS[0].id])
    assert events.record(EVENTS[:10]) == 10
    assert _numbers(events.claim()) == list(range(1, 10))


@pytest.mark.parametrize("details", [{"a": "\x00"}, {"a": float("nan")}, {"\x00": 1}])
def test_what_jsonb_cannot_hold_is_refused(details: Any, session: Session) -> None:
    with pytest.raises(DocumentError), session.begin_nested():
        UserInteractionEventRepository(session).record([_event(1), _event(2, details=details)])
    assert UserInteractionEventRepository(session).claim() == []


def test_an_event_of_nobody_is_refused(session: Session) -> None:
    with pytest.raises(IntegrityError), session.begin_nested():
        UserInteractionEventRepository(session).record([_event(1, user_id=uuid.uuid4())])
    with pytest.raises(DBAPIError), session.begin_nested():
        UserInteractionEventRepository(session).record([_event(1, event_type="")])


def test_the_latest_events_of_a_user_come_in_pages(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record(EVENTS[:100])
    page = events.latest(IDS[2], 8)
    found = page.rows
    while page.after is not None:
        page = events.latest(IDS[2], 8, page.after)
        found += page.rows
    assert _numbers(found) == list(range(97, 0, -5))
    assert events.latest(uuid.uuid4()).rows == []
    with pytest.raises(ValueError, match="position"):
        events.latest(IDS[2], 8, ("now", 1))


def test_what_is_gone_leaves_the_event_or_takes_it_along(session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record([_event(1), _event(2)])
    session.execute(delete(Fragrance).where(Fragrance.id == IDS[1]))
    session.execute(delete(User).where(User.id == IDS[2]))
    assert [(each.id.int, each.fragrance_id) for each in events.claim()] == [(1, None)]


@pytest.mark.parametrize("mode", MODES)
def test_events_are_read_by_their_indexes(mode: str, session: Session) -> None:
    events = UserInteractionEventRepository(session)
    events.record(EVENTS)
    events.acknowledge([event.id for event in EVENTS[:1_500]])
    session.connection().exec_driver_sql("ANALYZE user_interaction_events")
    with reported(session, mode) as collected:
        events.claim(20)
        events.latest(IDS[2], 5)
    claim, latest = map(indexes_used, collected)
    assert "ix_user_interaction_events_unprocessed" in claim
    assert latest == ["ix_user_interaction_events_user_id_timestamp"]


# --- relationships

EDGES = [Relationship(IDS[1], IDS[n], "alike", n / 50, 0.5) for n in range(2, 50)]


def test_the_strongest_come_first(session: Session) -> None:
    relationships = FragranceRelationshipRepository(session)
    assert relationships.save([*EDGES, Relationship(IDS[1], IDS[2], "layered", 1)]) == 49
    assert relationships.strongest(IDS[1], 2) == [
        Neighbour(IDS[2], "Fragrance 2", "Maison", "layered", 1, 1),
        Neighbour(IDS[49], "Fragrance 49", "Maison", "alike", 0.98, 0.5),
    ]
    assert [each.id for each in relationships.strongest(IDS[1], kind="alike")] == IDS[:39:-1]
    assert relationships.strongest(IDS[2]) == []
    assert relationships.save([Relationship(IDS[1], IDS[3], "alike", 1)]) == 1  # it has grown
    assert relationships.strongest(IDS[1], 1, "alike")[0].id == IDS[3]


@pytest.mark.parametrize(
    "edge",
    [
        Relationship(IDS[1], IDS[1], "alike", 0.5),
        Relationship(IDS[1], IDS[2], "alike", 1.5),
        Relationship(IDS[1], IDS[2], "alike", 0.5, float("nan")),
        Relationship(IDS[1], uuid.uuid4(), "alike", 0.5),
    ],
    ids=["itself", "weight", "confidence", "nothing"],
)
def test_a_relationship_that_makes_no_sense_is_refused(edge: Any, session: Session) -> None:
    with pytest.raises(IntegrityError), session.begin_nested():
        FragranceRelationshipRepository(session).save([EDGES[0], edge])


@pytest.mark.parametrize("mode", MODES)
def test_the_strongest_are_read_by_their_index(mode: str, session: Session) -> None:
    every = ((a, b) for a in IDS for b in IDS if a != b)
    relationships = FragranceRelationshipRepository(session)
    relationships.save(Relationship(a, b, "alike", (a.int * b.int % 97) / 97) for a, b in every)
    session.connection().exec_driver_sql("ANALYZE fragrance_relationships")
    with reported(session, mode) as collected:
        assert len(relationships.strongest(IDS[1], 3)) == 3
    assert "ix_fragrance_relationships_fragrance_id_weight" in indexes_used(collected[0])


CHAIN = [
    Relationship(IDS[1], IDS[2], "alike", 0.5),
    Relationship(IDS[2], IDS[3], "layered", 0.5),
    Relationship(IDS[3], IDS[1], "alike", 1),
    Relationship(IDS[1], IDS[3], "alike", 0.125),
]


def test_paths_lead_to_what_belongs_to_what_belongs(session: Session) -> None:
    relationships = FragranceRelationshipRepository(session)
    relationships.save(CHAIN)
    far = Path(IDS[3], "Fragrance 3", "Maison", 0.25, IDS[1:4], ["alike", "layered"])
    near = Path(IDS[3], "Fragrance 3", "Maison", 0.125, [IDS[1], IDS[3]], ["alike"])
    assert relationships.paths(IDS[1], IDS[3]) == [far, near]
    assert relationships.paths(IDS[1], IDS[3], 1) == [far]
    assert relationships.paths(IDS[1], IDS[3], threshold=0.2) == [far]
    assert relationships.paths(IDS[1], IDS[3], reach=Reach(hops=1)) == [near]
    assert relationships.paths(IDS[1], IDS[3], kind="alike") == [near]
    assert relationships.paths(IDS[1], IDS[4]) == relationships.paths(IDS[4]) == []
    assert [(each.id, each.weight) for each in relationships.paths(IDS[1])] == [
        (IDS[2], 0.5),
        (IDS[3], 0.25),
    ]
    assert [each.id for each in relationships.paths(IDS[1], kind="layered")] == []
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            relationships.paths(IDS[1], threshold=wrong)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [None, "alike"])
def test_paths_are_read_by_the_index_of_the_strongest(
    kind: str | None, mode: str, session: Session
) -> None:
    every = ((a, b) for a in IDS for b in IDS if a != b)
    relationships = FragranceRelationshipRepository(session)
    relationships.save(Relationship(a, b, "alike", (a.int * b.int % 97) / 97) for a, b in every)
    session.connection().exec_driver_sql("ANALYZE fragrance_relationships, fragrances")
    with reported(session, mode) as collected:
        assert relationships.paths(IDS[1], kind=kind)
        assert relationships.paths(IDS[1], IDS[2], kind=kind)
    for plan in collected:
        assert "ix_fragrance_relationships_fragrance_id_weight" in indexes_used(plan)


# --- the bandit


def test_the_four_algorithms_begin_with_nothing_known(session: Session) -> None:
    algorithms = AlgorithmPerformanceRepository(session)
    assert algorithms.beliefs() == {name: Belief(name, 1, 1) for name in DEFAULT}
    assert algorithms.beliefs("nowhere") == {}


def test_a_reward_adds_to_what_is_known(session: Session) -> None:
    algorithms = AlgorithmPerformanceRepository(session)
    assert algorithms.reward("default", "content_based") == Belief("content_based", 2, 1)
    assert algorithms.reward("home", "new", 0, 3) == Belief("new", 1, 4)
    assert algorithms.reward("home", "new", 0.5, 0.25) == Belief("new", 1.5, 4.25)
    assert algorithms.beliefs("home") == {"new": Belief("new", 1.5, 4.25)}
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="reward"):
            algorithms.reward("home", "new", wrong)
        with pytest.raises(ValueError, match="reward"):
            algorithms.reward("home", "new", 1, wrong)


def test_a_thousand_rewards_at_once_add_up(engine: Engine) -> None:
    def reward(number: int) -> None:
        with Session(engine) as session, session.begin():
            algorithms = AlgorithmPerformanceRepository(session)
            algorithms.reward("crowd", f"a{number % 2}", number % 2, 1 - number % 2)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(reward, range(1_000)))
    with Session(engine) as session:
        known = AlgorithmPerformanceRepository(session).beliefs("crowd")
        session.execute(delete(AlgorithmPerformance).where(AlgorithmPerformance.context == "crowd"))
        session.commit()
    assert known == {"a0": Belief("a0", 1, 501), "a1": Belief("a1", 501, 1)}


def test_what_pleased_is_chosen_and_what_is_unknown_is_tried(session: Session) -> None:
    algorithms, chance = AlgorithmPerformanceRepository(session), np.random.default_rng(1)
    algorithms.reward("home", "good", 900, 100)
    algorithms.reward("home", "bad", 100, 900)
    chosen = Counter(
        algorithms.choose("home", ["good", "bad", "unknown"], chance) for _ in range(300)
    )
    assert chosen["good"] > 200
    assert chosen["unknown"] > 5
    assert chosen["bad"] == 0
    assert algorithms.choose("home", ["bad"]) == "bad"


def test_what_is_regretted_grows_ever_more_slowly(session: Session) -> None:
    """Of two algorithms that please in 40% and 60%, the worse is hardly chosen any more."""
    algorithms, chance = AlgorithmPerformanceRepository(session), np.random.default_rng(2)
    pleases = {"worse": 0.4, "better": 0.6}
    chosen = []
    for _ in range(1_000):
        name = algorithms.choose("regret", list(pleases), chance)
        pleased = float(chance.random() < pleases[name])
        algorithms.reward("regret", name, pleased, 1 - pleased)
        chosen.append(name == "worse")
    assert sum(chosen[:500]) > 3 * sum(chosen[500:])


# --- the twins


async def test_the_twins_of_events_answer_the_same(
    session: Session, async_session: AsyncSession
) -> None:
    one = UserInteractionEventRepository(session)
    answers = [one.record(EVENTS[:20]), one.claim(5), one.acknowledge([EVENTS[0].id])]
    pages = one.latest(IDS[1], 2), one.latest(IDS[1], 2, (EVENTS[11].timestamp, EVENTS[11].id))
    session.rollback()
    other = AsyncUserInteractionEventRepository(async_session)
    assert [
        await other.record(EVENTS[:20]),
        await other.claim(5),
        await other.acknowledge([EVENTS[0].id]),
    ] == answers
    assert await other.latest(IDS[1], 2) == pages[0]
    after = (EVENTS[11].timestamp, EVENTS[11].id)
    assert await other.latest(IDS[1], 2, after) == pages[1]
    await async_session.rollback()


async def test_the_twins_of_the_others_answer_the_same(
    session: Session, async_session: AsyncSession
) -> None:
    one, bandit = FragranceRelationshipRepository(session), AlgorithmPerformanceRepository(session)
    answers = [one.save(EDGES), one.strongest(IDS[1], 5, "alike"), bandit.beliefs()]
    paths = one.paths(IDS[1], limit=3), one.paths(IDS[1], IDS[9], kind="alike", threshold=0.1)
    rewarded = bandit.reward("c", "a", 2, 3), bandit.choose("c", ["a"])
    session.rollback()
    other = AsyncFragranceRelationshipRepository(async_session)
    bandits = AsyncAlgorithmPerformanceRepository(async_session)
    assert [
        await other.save(EDGES),
        await other.strongest(IDS[1], 5, "alike"),
        await bandits.beliefs(),
    ] == answers
    assert await other.paths(IDS[1], limit=3) == paths[0]
    assert await other.paths(IDS[1], IDS[9], kind="alike", threshold=0.1) == paths[1]
    assert (await bandits.reward("c", "a", 2, 3), await bandits.choose("c", ["a"])) == rewarded
    await async_session.rollback()
    assert session.scalar(select(func.count()).select_from(UserInteractionEvent)) == 0
