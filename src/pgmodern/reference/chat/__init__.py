"""Conversations with AI influencers."""

from pgmodern.reference.chat.asynchronous.profiles import AsyncProfiles
from pgmodern.reference.chat.asynchronous.repository import (
    AsyncConversationRepository,
    AsyncInfluencerRepository,
    AsyncMessageRepository,
)
from pgmodern.reference.chat.models import AIInfluencer, Base, Conversation, Message
from pgmodern.reference.chat.profiles import Profile
from pgmodern.reference.chat.rows import ConversationRow, InfluencerHit, MessageHit, MessageRow
from pgmodern.reference.chat.synchronous.profiles import Profiles
from pgmodern.reference.chat.synchronous.repository import (
    ConversationRepository,
    InfluencerRepository,
    MessageRepository,
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
