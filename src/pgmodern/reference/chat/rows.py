"""What the chat application finds."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from pgmodern.reference.chat.statements import CONVERSATION

_WIDTH = len(CONVERSATION.selected_columns)


@dataclass(frozen=True, slots=True)
class InfluencerHit:
    """An influencer, as a profile shows it."""

    id: uuid.UUID
    name: str
    display_name: str
    personality_traits: Any
    suggested_messages: Any
    metadata: Any
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message."""

    id: uuid.UUID
    conversation_id: uuid.UUID
    role: str
    content: str | None
    metadata: Any
    token_count: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MessageHit(MessageRow):
    """A message that a search found; the highlight is HTML."""

    score: float
    highlight: str


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation, and its last messages, the newest first, where they were asked for."""

    id: uuid.UUID
    user_id: str
    influencer_id: uuid.UUID
    metadata: Any
    created_at: datetime
    updated_at: datetime
    messages: tuple[MessageRow, ...] = ()


def conversations(found: Iterable[Any]) -> list[ConversationRow]:
    """Gather the rows of each conversation, which follow each other."""
    gathered = []
    for _, group in groupby(found, key=itemgetter(0)):
        joined = list(group)
        messages = [MessageRow(*row[_WIDTH:]) for row in joined if row[_WIDTH] is not None]
        gathered.append(ConversationRow(*(*joined[0][:_WIDTH], tuple(messages))))
    return gathered
