"""How fast the chat application's questions are answered, beside how it asks them today."""

import random
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from benchmarks import conversations
from benchmarks.conversations import HEAVY
from benchmarks.database import without
from benchmarks.dataset import Dataset
from benchmarks.latency import timed
from benchmarks.report import Figure, Report
from pgmodern.reference.chat import (
    Conversation,
    ConversationRepository,
    InfluencerRepository,
    Message,
    MessageRepository,
)

SEED = 7
QUERIES, BASELINE_QUERIES = 100, 10
RARE, COMMON = (2, 50), (10_000, 100_000)
LAST = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """A word, and where it is looked for."""

    word: str
    user_id: str | None = None
    conversation_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of asking, and how it is asked today."""

    what: str
    ours: Callable[[Session, Any], Any]
    today: Callable[[Session, Any], Any]
    queries: Sequence[Any]


def search(session: Session, asked: Asked) -> Any:
    """Search by words: ranked, with a highlight."""
    return MessageRepository(session).search_messages(
        asked.word, user_id=asked.user_id, conversation_id=asked.conversation_id
    )


def by_pattern(session: Session, asked: Asked) -> Any:
    """Search by ILIKE, the newest first, as it knows no rank."""
    found = select(Message.id, Message.content).where(Message.content.icontains(asked.word))
    if asked.user_id is not None:
        found = found.join(Conversation, Conversation.id == Message.conversation_id)
        found = found.where(Conversation.user_id == asked.user_id)
    if asked.conversation_id is not None:
        found = found.where(Message.conversation_id == asked.conversation_id)
    return session.execute(found.order_by(Message.created_at.desc()).limit(10)).all()


def last_messages(session: Session, user_id: str) -> Any:
    """Return a user's conversations with their last messages."""
    return ConversationRepository(session).conversations_with_last_messages(user_id, LAST)


def one_by_one(session: Session, user_id: str) -> Any:
    """Return the conversations, and then for each one its last messages."""
    columns = Message.__table__.c
    shown = [column for column in columns if column.name != "search_vector"]
    found = session.execute(
        select(Conversation.id, Conversation.updated_at).where(Conversation.user_id == user_id)
    ).all()
    last = select(*shown).order_by(Message.created_at.desc()).limit(LAST)
    return [session.execute(last.where(Message.conversation_id == row.id)).all() for row in found]


def kinds(engine: Engine, words: dict[str, list[str]]) -> list[Kind]:
    """Return the ways of asking; what is asked for occurs."""
    chance = random.Random(SEED)
    with Session(engine) as session:
        held = session.execute(select(Conversation.id, Conversation.user_id)).all()
    others = sorted({row.user_id for row in held} - {HEAVY})
    users = [chance.choice(others) for _ in range(QUERIES)]
    chosen = [chance.choice(held).id for _ in range(QUERIES)]
    rare, common = ([chance.choice(words[of]) for _ in range(QUERIES)] for of in ("rare", "common"))
    heavy = [HEAVY] * QUERIES
    last = f"conversations with their last {LAST} messages"
    return [
        _searching("a rare word", map(Asked, rare)),
        _searching("a rare word of any user", map(Asked, rare, users)),
        _searching("a common word of any user", map(Asked, common, users)),
        _searching("a rare word of the heavy user", map(Asked, rare, heavy)),
        _searching("a common word of the heavy user", map(Asked, common, heavy)),
        _searching("a common word of a conversation", map(Asked, common, repeat(None), chosen)),
        Kind(f"{last}, any user", last_messages, one_by_one, users),
        Kind(f"{last}, heavy user", last_messages, one_by_one, heavy[:20]),
        _counting("count of all messages"),
        _counting("count of the assistant's messages", Message.role == "assistant"),
    ]


def _searching(what: str, queries: Iterable[Asked]) -> Kind:
    return Kind(f"search: {what}", search, by_pattern, list(queries))


def _counting(what: str, *where: Any) -> Kind:
    def ours(session: Session, _: None) -> Any:
        return MessageRepository(session).estimated_count(*where)

    def today(session: Session, _: None) -> Any:
        return session.scalar(select(func.count()).select_from(Message).where(*where))

    return Kind(what, ours, today, [None] * QUERIES)


def frequent(engine: Engine, dataset: Dataset) -> dict[str, list[str]]:
    """Return rare and common words of the messages, no stop words among them."""
    counted = Counter(
        word
        for each in dataset.messages()
        for word in set(re.findall(r"[a-z]{4,}", each.text.lower()))
    )
    bounds = {"rare": RARE, "common": COMMON}
    with Session(engine) as session:

        def says_something(word: str) -> bool:
            return bool(session.scalar(select(func.numnode(Message.search.query(word)))))

        return {
            name: [
                word
                for word, count in sorted(counted.items())
                if low <= count <= high and (name == "rare" or says_something(word))
            ]
            for name, (low, high) in bounds.items()
        }


def measure(engine: Engine, kind: Kind) -> list[Figure]:
    """Ask both ways."""
    ours = timed(engine, kind.queries, kind.ours)
    today = timed(engine, kind.queries[:BASELINE_QUERIES], kind.today)
    return [
        Figure(f"{kind.what}: p50", ours.p50, "ms", today.p50),
        Figure(f"{kind.what}: p95", ours.p95, "ms", today.p95),
    ]


def by_traits(engine: Engine, dataset: Dataset) -> list[Figure]:
    """Ask for the first page of those who share two traits, with the index and without."""
    chance = random.Random(SEED)
    several = [traits for traits in dataset.characters() if len(traits) > 1]
    queries = [
        dict(chance.sample(sorted(chance.choice(several).items()), 2)) for _ in range(QUERIES)
    ]

    def ask(session: Session, traits: Any) -> Any:
        return InfluencerRepository(session).with_traits(traits)

    scanning = without(engine, "bitmapscan")
    ours, scan = timed(engine, queries, ask), timed(scanning, queries[:BASELINE_QUERIES], ask)
    scanning.dispose()
    return [
        Figure("influencers by two traits: p50", ours.p50, "ms", scan.p50),
        Figure("influencers by two traits: p95", ours.p95, "ms", scan.p95),
    ]


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure latency, beside ILIKE, a loop, count(*) and sequential scans."""
    conversations.load(engine, dataset)
    asked = kinds(engine, frequent(engine, dataset))
    figures = [figure for kind in asked for figure in measure(engine, kind)]
    figures += by_traits(engine, dataset)
    with Session(engine) as session:
        messages = session.scalar(select(func.count()).select_from(Message))
        heavy = select(func.count()).select_from(Message).join(Conversation)
        of_heavy = session.scalar(heavy.where(Conversation.user_id == HEAVY))
        held = session.scalar(
            select(func.count()).select_from(Conversation).where(Conversation.user_id == HEAVY)
        )
    return Report(
        "chat: the application's questions",
        "as it asks today",
        figures,
        [
            f"{messages:,} real messages. The heavy user has {of_heavy:,} of them in {held:,} "
            f"conversations. {QUERIES} queries of each kind, {BASELINE_QUERIES} of the baseline; "
            f"seed {SEED}.",
            f"A rare word is in {RARE[0]} to {RARE[1]} messages, a common one in over "
            f"{COMMON[0]:,}. Baselines: ILIKE, newest first; a statement for each conversation; "
            "count(*); a scan of all influencers.",
        ],
    )
