"""How many events a second workers take from the queue, in batches and one by one."""

import time
import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from benchmarks.database import settle
from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from pgmodern.reference.fragrance import NewEvent, User, UserInteractionEventRepository

EVENTS, USERS = 200_000, 2_000
SINGLES, BATCHES, BATCH = 1_000, 100, 100
WARM_UP = 10


def load(engine: Engine) -> float:
    """Record the events of three months, half of them done; return how many a second."""
    first = datetime.now(UTC) - timedelta(days=90)
    users = [uuid.UUID(int=number) for number in range(USERS)]
    emails = [{"id": user, "email": f"{user}@example.org"} for user in users]
    apart = timedelta(days=90) / EVENTS
    with Session(engine) as session, session.begin():
        session.execute(insert(User), emails)
        begun = time.perf_counter()
        UserInteractionEventRepository(session).record(
            NewEvent(users[n * 7919 % USERS], "view", timestamp=first + n * apart)
            for n in range(EVENTS)
        )
        took = time.perf_counter() - begun
    with engine.begin() as connection:
        half = "UPDATE user_interaction_events SET processed_at = now() WHERE timestamp < :half"
        connection.execute(text(half), {"half": first + EVENTS // 2 * apart})
    settle(engine, "user_interaction_events")
    return EVENTS / took


def rate(engine: Engine, claims: int, batch: int) -> float:
    """Claim and acknowledge, each batch in its transaction; return the events a second."""
    with Session(engine) as session:
        for number in range(WARM_UP + claims):
            if number == WARM_UP:
                begun = time.perf_counter()
            with session.begin():
                events = UserInteractionEventRepository(session)
                claimed = events.claim(batch)
                assert len(claimed) == batch
                events.acknowledge([event.id for event in claimed])
    return claims * batch / (time.perf_counter() - begun)


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Empty the queue in batches of a hundred, and one by one."""
    recorded = load(engine)
    single = rate(engine, SINGLES, 1)
    batches = rate(engine, BATCHES, BATCH)
    return Report(
        f"events: {EVENTS:,} of {USERS:,} users, half of them waiting",
        "none",
        [
            Figure("recorded by COPY, events a second", round(recorded), ""),
            Figure("claimed and acknowledged one by one, events a second", round(single), ""),
            Figure(f"the same in batches of {BATCH}", round(batches), ""),
            Figure("times the rate of one by one", batches / single, "x", at_least=10),
        ],
        [
            "One worker; each batch is a transaction that is committed. The table has a partition "
            "for each month."
        ],
    )
