"""Conversations of a realistic number, in which one user and one word are much more common."""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

INFLUENCERS, CONVERSATIONS, MESSAGES = 3_000, 2_000, 48_000
START = datetime(2026, 1, 1, tzinfo=UTC)
# One user has a quarter of all conversations, the others a few each.
HEAVY, LIGHT = "user 0", "user 7"


def uid(kind: int, number: int) -> uuid.UUID:
    """Return the id of an influencer (1), a conversation (2) or a message (3)."""
    return uuid.UUID(int=kind << 64 | number)


def user_of(conversation: int) -> str:
    """Return whose conversation it is."""
    return HEAVY if conversation % 4 == 0 else f"user {1 + conversation % 397}"


def _content(number: int) -> str:
    words = ["Thinking of", f"topic{number % 600}", "again"]
    words += ["like everybody"] if number % 3 == 0 else []
    return " ".join([*words, "zebra"] if number % 4_000 == 0 else words)


def rows() -> dict[str, Iterable[tuple[Any, ...]]]:
    """Return the rows of each table, by its name and columns."""
    return {
        "ai_influencers (id, name, display_name, system_instructions, personality_traits, "
        "suggested_messages, metadata, created_at)": (
            (
                uid(1, n),
                f"influencer {n}",
                f"Influencer {n}",
                "Be kind.",
                json.dumps({"energy": "calm" if n % 100 == 7 else f"energy {n % 90}"}),
                json.dumps([f"Ask me about {n % 150}", "Hello"]),
                json.dumps({"origin": {"place": f"place {n % 200}"}}),
                START + timedelta(minutes=n // 2),
            )
            for n in range(INFLUENCERS)
        ),
        "conversations (id, user_id, influencer_id, metadata, updated_at)": (
            (
                uid(2, n),
                user_of(n),
                uid(1, n % INFLUENCERS),
                json.dumps({"topic": f"topic {n % 150}"}),
                START + timedelta(minutes=n // 2),
            )
            for n in range(CONVERSATIONS)
        ),
        "messages (id, conversation_id, role, content, metadata, created_at)": (
            (
                uid(3, n),
                uid(2, n % CONVERSATIONS),
                "assistant" if n // CONVERSATIONS % 2 else "user",
                _content(n),
                json.dumps({"tool": f"tool {n % 900}"}),
                START + timedelta(minutes=n // CONVERSATIONS // 2),
            )
            for n in range(MESSAGES)
        ),
    }
