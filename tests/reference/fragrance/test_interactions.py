"""What belongs together, what pleases."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.queries import Reach
from pgmodern.queries.explain import indexes_used
from pgmodern.reference.fragrance import (
    AlgorithmPerformance,
    AlgorithmPerformanceRepository,
    AsyncAlgorithmPerformanceRepository,
    AsyncFragranceRelationshipRepository,
    Belief,
    FragranceRelationshipRepository,
    Neighbour,
    Path,
    Relationship,
)
from tests.plans import MODES, reported

IDS = [uuid.UUID(int=number) for number in range(50)]
DEFAULT = [
    "collaborative_filtering",
    "content_based",
    "hybrid_recommendations",
    "trending_algorithm",
]


# --- relationships

EDGES = [Relationship(IDS[1], IDS[n], "alike", n / 50, 0.5) for n in range(2, 50)]


@pytest.mark.quick
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


@pytest.mark.quick
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


@pytest.mark.quick
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


@pytest.mark.quick
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


@pytest.mark.quick
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
