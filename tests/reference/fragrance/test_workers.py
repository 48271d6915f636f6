"""Workers that are killed: no event is lost, none is done twice, each user's in their order."""

import os
import random
import time
import uuid
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from sqlalchemy import URL, Engine, insert, text
from sqlalchemy.orm import Session

from pgmodern.engine import create_engine
from pgmodern.reference.fragrance import NewEvent, User, UserInteractionEventRepository

WORKERS, USERS, EVENTS, KILLS = 8, 100, 4_000, 60
START = datetime(2026, 1, 1, tzinfo=UTC)
FORK = get_context("fork")
# Without a key, so that nothing keeps an event from being done twice; who comes first is `place`.
LEARNT = "CREATE TABLE learnt (place bigserial, event uuid, worker int)"
LEARN = text("INSERT INTO learnt (event, worker) VALUES (:event, :worker)")
WAITING = text("SELECT EXISTS (SELECT FROM user_interaction_events WHERE processed_at IS NULL)")


def _work(url: URL, seed: int, claims: Path) -> None:
    """Claim, learn, acknowledge, until nothing waits; whatever is claimed is noted in a file."""
    chance, engine = random.Random(seed), create_engine(url)
    waiting = True
    while waiting:
        with Session(engine) as session, session.begin():
            events = UserInteractionEventRepository(session)
            ids = [event.id for event in events.claim(chance.randint(1, 20))]
            with claims.open("a") as file:
                file.write("".join(f"{each}\n" for each in ids))
            for each in ids:
                session.execute(LEARN, {"event": each, "worker": os.getpid()})
            time.sleep(chance.random() * 0.02)
            assert events.acknowledge(ids) == len(ids)
            waiting = bool(session.scalar(WAITING))


def _start(url: URL, seed: int, claims: Path) -> BaseProcess:
    worker = FORK.Process(target=_work, args=(url, seed, claims), daemon=True)
    with warnings.catch_warnings():
        # Python warns of any thread; those of numpy's libraries are made for a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        worker.start()
    return worker


def _fill(engine: Engine) -> list[uuid.UUID]:
    """Record events of many users; return their ids in the order in which they happened."""
    users = [uuid.UUID(int=1_000 + number) for number in range(USERS)]
    events = [
        NewEvent(users[n * 37 % USERS], "view", timestamp=START + timedelta(seconds=n // 3))
        for n in range(EVENTS)
    ]
    with Session(engine) as session, session.begin():
        session.execute(text(LEARNT))
        session.execute(insert(User), [{"id": each, "email": f"{each}@a.org"} for each in users])
        UserInteractionEventRepository(session).record(random.sample(events, EVENTS))
    return [event.id for event in sorted(events, key=lambda each: (each.timestamp, each.id))]


def test_nothing_is_lost_or_done_twice_while_workers_are_killed(
    engine: Engine, database_url: URL, tmp_path: Path
) -> None:
    recorded, claims = _fill(engine), tmp_path / "claims"
    workers = [_start(database_url, seed, claims) for seed in range(WORKERS)]
    for number in range(KILLS):
        time.sleep(random.random() * 0.05)
        killed = random.randrange(WORKERS)
        workers[killed].kill()
        workers[killed].join()
        workers[killed] = _start(database_url, WORKERS + number, claims)
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    with engine.connect() as connection:
        learnt = connection.execute(text("SELECT event, worker FROM learnt ORDER BY place")).all()
        assert not connection.scalar(WAITING)
        of = text("SELECT id, user_id FROM user_interaction_events")
        users = {row.id: row.user_id for row in connection.execute(of)}
    assert Counter(event for event, _ in learnt) == Counter(recorded)
    for user in set(users.values()):
        theirs = [event for event, _ in learnt if users[event] == user]
        assert theirs == [event for event in recorded if users[event] == user]
    # Some died with what they had claimed, and others had it then.
    claimed = Counter(claims.read_text().split())
    assert claimed.total() > EVENTS
    assert len({worker for _, worker in learnt}) > WORKERS
