"""What the chat application asks of its database."""

import uuid

from sqlalchemy import select

from pgmodern.indexes.jsonb import Json
from pgmodern.queries import Page
from pgmodern.queries.pages import Position
from pgmodern.reference.chat import statements
from pgmodern.reference.chat.models import AIInfluencer, Conversation, Message
from pgmodern.reference.chat.rows import (
    ConversationRow,
    InfluencerHit,
    MessageHit,
    MessageRow,
    conversations,
)
from pgmodern.reference.chat.statements import CONVERSATION, INFLUENCER, MESSAGE
from pgmodern.repositories import AsyncCountRepository, AsyncDocumentRepository


class AsyncInfluencerRepository(AsyncDocumentRepository[InfluencerHit]):
    """Influencers by what their documents hold; `containing` and `matching` ask their traits."""

    row, payload = InfluencerHit, INFLUENCER
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


class AsyncConversationDocuments(AsyncDocumentRepository[ConversationRow]):
    """Conversations by their metadata."""

    row, payload = ConversationRow, CONVERSATION
    document = Conversation.holds
    newest_first = (Conversation.created_at, Conversation.id)


class AsyncConversationRepository(AsyncCountRepository):
    """Conversations of a user, and by what their metadata hold."""

    counted = select(Conversation.id)

    async def conversations_with_last_messages(
        self, user_id: str, n: int = 1
    ) -> list[ConversationRow]:
        """Return a user's conversations, the last updated first, with their last `n` messages."""
        found = await self._fetch(*statements.with_last_messages(user_id, n))
        return conversations(found)

    async def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[ConversationRow]:
        """Return a page of those whose metadata contain this document, the newest first."""
        return await AsyncConversationDocuments(self.session).containing(metadata, size, after)


class AsyncMessageDocuments(AsyncDocumentRepository[MessageRow]):
    """Messages by their metadata."""

    row, payload = MessageRow, MESSAGE
    document = Message.holds
    newest_first = (Message.created_at, Message.id)


class AsyncMessageRepository(AsyncCountRepository):
    """Messages by their words, and by what their metadata hold."""

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
        asked = statements.search(query, limit, conversation_id, user_id)
        return [MessageHit(*each) for each in await self._fetch(*asked)]

    async def with_metadata(
        self, metadata: Json, size: int = 20, after: Position | None = None
    ) -> Page[MessageRow]:
        """Return a page of those whose metadata contain this document, the newest first."""
        return await AsyncMessageDocuments(self.session).containing(metadata, size, after)
