"""What the chat application asks of its database."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import select

from pgmodern.indexes.jsonb import Json
from pgmodern.queries import Page
from pgmodern.queries.pages import Position
from pgmodern.reference.chat import statements
from pgmodern.reference.chat.models import AIInfluencer, Conversation, Message
from pgmodern.reference.chat.statements import CONVERSATION, MESSAGE
from pgmodern.repositories import (
    AsyncCountRepository,
    AsyncDocumentRepository,
    CountRepository,
    DocumentRepository,
)


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


_INFLUENCER = select(
    AIInfluencer.id,
    AIInfluencer.name,
    AIInfluencer.display_name,
    AIInfluencer.personality_traits,
    AIInfluencer.suggested_messages,
    AIInfluencer.details,
    AIInfluencer.is_active,
    AIInfluencer.created_at,
)
_WIDTH = len(CONVERSATION.selected_columns)


def _hits(found: Iterable[Any]) -> list[MessageHit]:
    return [MessageHit(*each) for each in found]


def _conversations(found: Iterable[Any]) -> list[ConversationRow]:
    """Gather the rows of each conversation, which follow each other."""
    conversations = []
    for _, group in groupby(found, key=itemgetter(0)):
        joined = list(group)
        messages = [MessageRow(*row[_WIDTH:]) for row in joined if row[_WIDTH] is not None]
        conversations.append(ConversationRow(*(*joined[0][:_WIDTH], tuple(messages))))
    return conversations


class InfluencerRepository(DocumentRepository[InfluencerHit]):
    """Influencers by what their documents hold; `containing` and `matching` ask their traits."""

    row, payload = InfluencerHit, _INFLUENCER
    document = AIInfluencer.traits
    newest_first = (AIInfluencer.created_at, AIInfluencer.id)

    def with_traits(
        self, traits: Json, size: int = 20, after: Position | None = None
    ) -> Page[InfluencerHit]:
        """Return a page of those whose traits contain these, such as `{"energy": "calm"}`."""
        return self.containing(traits, size, after)

    def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[InfluencerHit]:
        """Return a page of those whose metadata contain this document."""
        return self.where(AIInfluencer.holds.contains(metadata), size=size, after=after)

    def suggesting(
        self, message: str, size: int = 20, after: Position | None = None
    ) -> Page[InfluencerHit]:
        """Return a page of those who suggest exactly this message."""
        suggest = AIInfluencer.suggestions.contains([message])
        return self.where(suggest, size=size, after=after)


class AsyncInfluencerRepository(AsyncDocumentRepository[InfluencerHit]):
    """The asynchronous twin of InfluencerRepository."""

    row, payload = InfluencerHit, _INFLUENCER
    document = AIInfluencer.traits
    newest_first = (AIInfluencer.created_at, AIInfluencer.id)

    async def with_traits(
        self, traits: Json, size: int = 20, after: Position | None = None
    ) -> Page[InfluencerHit]:
        """Return a page of those whose traits contain these, such as `{"energy": "calm"}`."""
        return await self.containing(traits, size, after)

    async def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[InfluencerHit]:
        """Return a page of those whose metadata contain this document."""
        return await self.where(AIInfluencer.holds.contains(metadata), size=size, after=after)

    async def suggesting(
        self, message: str, size: int = 20, after: Position | None = None
    ) -> Page[InfluencerHit]:
        """Return a page of those who suggest exactly this message."""
        suggest = AIInfluencer.suggestions.contains([message])
        return await self.where(suggest, size=size, after=after)


class ConversationDocuments(DocumentRepository[ConversationRow]):
    """Conversations by their metadata."""

    row, payload = ConversationRow, CONVERSATION
    document = Conversation.holds
    newest_first = (Conversation.created_at, Conversation.id)


class AsyncConversationDocuments(AsyncDocumentRepository[ConversationRow]):
    """The asynchronous twin of ConversationDocuments."""

    row, payload = ConversationRow, CONVERSATION
    document = Conversation.holds
    newest_first = (Conversation.created_at, Conversation.id)


class ConversationRepository(CountRepository):
    """Conversations of a user, and by what their metadata hold."""

    counted = select(Conversation.id)

    def conversations_with_last_messages(self, user_id: str, n: int = 1) -> list[ConversationRow]:
        """Return a user's conversations, the last updated first, with their last `n` messages."""
        found = self._fetch(*statements.with_last_messages(user_id, n))
        return _conversations(found)

    def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[ConversationRow]:
        """Return a page of those whose metadata contain this document, the newest first."""
        return ConversationDocuments(self.session).containing(metadata, size, after)


class AsyncConversationRepository(AsyncCountRepository):
    """The asynchronous twin of ConversationRepository."""

    counted = select(Conversation.id)

    async def conversations_with_last_messages(
        self, user_id: str, n: int = 1
    ) -> list[ConversationRow]:
        """Return a user's conversations, the last updated first, with their last `n` messages."""
        found = await self._fetch(*statements.with_last_messages(user_id, n))
        return _conversations(found)

    async def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[ConversationRow]:
        """Return a page of those whose metadata contain this document, the newest first."""
        return await AsyncConversationDocuments(self.session).containing(metadata, size, after)


class MessageDocuments(DocumentRepository[MessageRow]):
    """Messages by their metadata."""

    row, payload = MessageRow, MESSAGE
    document = Message.holds
    newest_first = (Message.created_at, Message.id)


class AsyncMessageDocuments(AsyncDocumentRepository[MessageRow]):
    """The asynchronous twin of MessageDocuments."""

    row, payload = MessageRow, MESSAGE
    document = Message.holds
    newest_first = (Message.created_at, Message.id)


class MessageRepository(CountRepository):
    """Messages by their words, and by what their metadata hold."""

    counted = select(Message.id)

    def search_messages(
        self,
        query: str,
        limit: int = 10,
        *,
        conversation_id: uuid.UUID | None = None,
        user_id: str | None = None,
    ) -> list[MessageHit]:
        """Return the messages that match words, "a phrase", or, -not, the best first.

        Of one conversation, or of the conversations of one user; given both, of that conversation
        if it is that user's.
        """
        return _hits(self._fetch(*statements.search(query, limit, conversation_id, user_id)))

    def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[MessageRow]:
        """Return a page of those whose metadata contain this document, the newest first."""
        return MessageDocuments(self.session).containing(metadata, size, after)


class AsyncMessageRepository(AsyncCountRepository):
    """The asynchronous twin of MessageRepository."""

    counted = select(Message.id)

    async def search_messages(
        self,
        query: str,
        limit: int = 10,
        *,
        conversation_id: uuid.UUID | None = None,
        user_id: str | None = None,
    ) -> list[MessageHit]:
        """Return the messages that match words, "a phrase", or, -not, the best first.

        Of one conversation, or of the conversations of one user; given both, of that conversation
        if it is that user's.
        """
        return _hits(await self._fetch(*statements.search(query, limit, conversation_id, user_id)))

    async def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[MessageRow]:
        """Return a page of those whose metadata contain this document, the newest first."""
        return await AsyncMessageDocuments(self.session).containing(metadata, size, after)
