"""How often a read waits for the network, on a wire where every wait is 10 ms longer."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from pgmodern.engine import create_engine
from pgmodern.reference.audio import SampleRepository
from pgmodern.reference.chat import ConversationRepository, InfluencerRepository, MessageRepository
from pgmodern.reference.fragrance import (
    AlgorithmPerformanceRepository,
    FragranceRelationshipRepository,
    FragranceRepository,
    UserInteractionEventRepository,
)
from pgmodern.reference.music import (
    AIInteractionEmbeddingRepository,
    ArchiveRepository,
    TrackRepository,
)
from tests.wire import Wire, wired

DELAY_SECONDS = 0.01
WARM_UP, RUNS = 6, 20  # psycopg prepares what comes for the fourth time
VECTOR, WIDE = np.ones(1536, np.float32), np.ones(2048, np.float32)
ID = uuid.UUID(int=1)

Read = Callable[[Session], Any]
READS: dict[str, Read] = {
    "fuzzy": lambda s: TrackRepository(s).fuzzy("yesterday"),
    "full_text": lambda s: TrackRepository(s).full_text("yesterday"),
    "search (both fused)": lambda s: TrackRepository(s).search("yesterday"),
    "suggest": lambda s: TrackRepository(s).suggest("yest"),
    "containing": lambda s: ArchiveRepository(s).containing({"genre": "pop"}),
    "newest": lambda s: ArchiveRepository(s).newest(),
    "with_key_between": lambda s: ArchiveRepository(s).with_key_between("year", 1984, 1985),
    "nearest": lambda s: AIInteractionEmbeddingRepository(s).nearest(VECTOR, ef_search=200),
    "nearest of a user": lambda s: AIInteractionEmbeddingRepository(s).similar(VECTOR, user_id=ID),
    "find_similar": lambda s: SampleRepository(s).find_similar(1),
    "with_traits": lambda s: InfluencerRepository(s).with_traits({"energy": "calm"}),
    "search_messages of a user": lambda s: MessageRepository(s).search_messages("a", user_id="u"),
    "conversations_with_last_messages": (
        lambda s: ConversationRepository(s).conversations_with_last_messages("u", 3)
    ),
    "similar in three stages": lambda s: FragranceRepository(s).similar(WIDE, words="rose"),
    "strongest": lambda s: FragranceRelationshipRepository(s).strongest(ID),
    "paths": lambda s: FragranceRelationshipRepository(s).paths(ID),
    "latest": lambda s: UserInteractionEventRepository(s).latest(ID),
    "beliefs": lambda s: AlgorithmPerformanceRepository(s).beliefs(),
}


def measure(engine: Engine, wire: Wire, read: Read) -> tuple[int, float]:
    """Return the most round trips that a read takes when it is known, and its median seconds.

    Each in a session of its own, which is closed: what that sends counts, too.
    """
    trips, seconds = [], []
    for number in range(WARM_UP + RUNS):
        before, started = wire.round_trips, time.perf_counter()
        with Session(engine) as session:
            read(session)
        if number >= WARM_UP:
            trips.append(wire.round_trips - before)
            seconds.append(time.perf_counter() - started)
    return max(trips), float(np.median(seconds))


def ask(engine: Engine, _: Dataset) -> Report:
    """Count for every kind of read, and for the same in a transaction that is given up."""
    figures = []
    with wired(engine.url) as wire:
        through = create_engine(wire.url)
        reading = through.execution_options(isolation_level="AUTOCOMMIT")
        wire.delay_seconds = DELAY_SECONDS
        for what, read in READS.items():
            trips, seconds = measure(reading, wire, read)
            others, slower = measure(through, wire, read)
            figures += [
                Figure(f"{what}: round trips", trips, "", others, at_most=1),
                Figure(f"{what}: p50", seconds * 1000, "ms", slower * 1000),
            ]
        through.dispose()
    return Report(
        "round_trips: how often a read waits for the network",
        "in a transaction, rolled back",
        figures,
        [
            f"Each in a session of its own, {RUNS} times, on empty tables; every round trip is "
            f"{DELAY_SECONDS * 1000:.0f} ms longer than it would be. Beside a read in autocommit "
            "mode the same in a Session's own transaction, which its end rolls back: BEGIN, the "
            "read, ROLLBACK, and what psycopg then does about its prepared statements.",
        ],
    )
