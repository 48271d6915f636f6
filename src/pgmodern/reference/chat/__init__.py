"""Conversations with AI influencers."""

from pgmodern.reference.chat.models import AIInfluencer, Base, Conversation, Message

__all__ = ["AIInfluencer", "Base", "Conversation", "Message"]
