"""What a profile of an influencer is, and where a change is heard of.

profiles = Profiles(engine)
with Listener(engine.url, profiles.channels):
    profiles.by_name.get("luna")
"""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from pgmodern.reference.chat.models import AIInfluencer

CHANNEL = "ai_influencers_changed"  # of revision 0015


@dataclass(frozen=True, slots=True)
class Profile:
    """What a chat with an influencer needs to know; shared, so nobody may change its documents."""

    id: uuid.UUID
    name: str
    display_name: str
    system_instructions: str
    personality_traits: Any
    suggested_messages: Any
    is_active: bool


_PROFILE = select(
    AIInfluencer.id,
    AIInfluencer.name,
    AIInfluencer.display_name,
    AIInfluencer.system_instructions,
    AIInfluencer.personality_traits,
    AIInfluencer.suggested_messages,
    AIInfluencer.is_active,
)


def of_id(key: uuid.UUID) -> Select[Any]:
    """Select the profile of an id."""
    return _PROFILE.where(AIInfluencer.id == key)


def of_name(name: str) -> Select[Any]:
    """Select the profile of a name."""
    return _PROFILE.where(AIInfluencer.name == name)
