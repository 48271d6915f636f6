"""Conversations with AI influencers."""

from pgmodern.reference.chat.models import AIInfluencer, Base, Conversation, Message
from pgmodern.reference.chat.profiles import AsyncProfiles, Profile, Profiles
from pgmodern.reference.chat.repository import (
    AsyncConversationRepository,
    AsyncInfluencerRepository,
    AsyncMessageRepository,
    ConversationRepository,
    ConversationRow,
    InfluencerHit,
    InfluencerRepository,
    MessageHit,
    MessageRepository,
    MessageRow,
)

__all__ = [
    "AIInfluencer",
    "AsyncConversationRepository",
    "AsyncInfluencerRepository",
    "AsyncMessageRepository",
    "AsyncProfiles",
    "Base",
    "Conversation",
    "ConversationRepository",
    "ConversationRow",
    "InfluencerHit",
    "InfluencerRepository",
    "Message",
    "MessageHit",
    "MessageRepository",
    "MessageRow",
    "Profile",
    "Profiles",
]
