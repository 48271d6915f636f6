"""The chat application's database, with real messages; who says them is made up."""

import json
import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Engine, text

from benchmarks.database import copy, settle
from benchmarks.dataset import Dataset, Said

SEED = 6
HEAVY = "user 0"  # who has a tenth of all conversations
USERS, MINUTES = 5_000, 600_000
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
MODELS = ("small", "medium", "large")


def load(engine: Engine, dataset: Dataset) -> None:
    """Load influencers, conversations and messages, unless another question has."""
    loaded = text("SELECT EXISTS (SELECT FROM ai_influencers WHERE name = 'character 0')")
    with engine.connect() as connection:
        if connection.scalar(loaded):
            return
    chance = random.Random(SEED)
    influencers = list(_influencers(dataset.characters(), chance))
    columns = ["id", "name", "display_name", "system_instructions", "personality_traits"]
    copy(engine, "ai_influencers", columns, influencers)
    said = [list(group) for _, group in groupby(dataset.messages(), lambda each: each.conversation)]
    ids = [_id(chance) for _ in said]
    users = ((each, user(chance), chance.choice(influencers)[0]) for each in ids)
    copy(engine, "conversations", ["id", "user_id", "influencer_id"], users)
    columns = ["id", "conversation_id", "role", "content", "metadata", "created_at"]
    # In the order of time, as conversations are held side by side.
    rows = sorted(_messages(ids, said, chance), key=lambda row: row[-1])
    copy(engine, "messages", columns, rows)
    settle(engine, "ai_influencers", "conversations", "messages")


def user(chance: random.Random) -> str:
    """Return a user: few have many conversations, many have few, and one has a tenth of all."""
    if chance.random() < 0.1:
        return HEAVY
    return f"user {min(int(20 * chance.paretovariate(0.6)), USERS)}"


def _influencers(
    characters: Sequence[dict[str, Any]], chance: random.Random
) -> Iterator[tuple[uuid.UUID, str, str, str, str]]:
    for number, traits in enumerate(characters):
        name = f"character {number}"
        yield _id(chance), name, name, "", json.dumps(traits)


def _messages(
    ids: Sequence[uuid.UUID], said: Sequence[Sequence[Said]], chance: random.Random
) -> Iterator[tuple[uuid.UUID, uuid.UUID, str, str, str, datetime]]:
    for conversation, messages in zip(ids, said, strict=True):
        began = FIRST + timedelta(minutes=chance.randrange(MINUTES))
        for number, each in enumerate(messages):
            role = "assistant" if number % 2 else "user"
            metadata = {"model": chance.choice(MODELS), "trace": chance.getrandbits(32)}
            at = began + timedelta(seconds=20 * number)
            yield _id(chance), conversation, role, each.text, json.dumps(metadata), at


def _id(chance: random.Random) -> uuid.UUID:
    return uuid.UUID(int=chance.getrandbits(128), version=4)
