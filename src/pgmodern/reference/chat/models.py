"""The chat schema at head; `alembic/versions/*_chat_*` brings a live database here."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgmodern.indexes import FullTextIndex, JsonbIndex

ENGLISH_UNACCENT = "public.english_unaccent"


class Base(DeclarativeBase):
    """The chat schema's metadata."""


def _id() -> Mapped[uuid.UUID]:
    return mapped_column(Uuid, primary_key=True, server_default=func.gen_random_uuid())


def _document(name: str, default: str = "{}") -> Mapped[Any]:
    return mapped_column(name, JSONB, nullable=False, server_default=text(f"'{default}'"))


def _now() -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


class AIInfluencer(Base):
    """A character that people chat with.

    The columns named `metadata` are mapped as `details`: the other name is SQLAlchemy's own.
    """

    __tablename__ = "ai_influencers"

    id: Mapped[uuid.UUID] = _id()
    name: Mapped[str] = mapped_column(Text, unique=True)
    display_name: Mapped[str] = mapped_column(Text)
    system_instructions: Mapped[str] = mapped_column(Text)
    personality_traits: Mapped[Any] = _document("personality_traits")
    suggested_messages: Mapped[Any] = _document("suggested_messages", "[]")
    details: Mapped[Any] = _document("metadata")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()

    traits = JsonbIndex("ix_ai_influencers_personality_traits", personality_traits)
    suggestions = JsonbIndex("ix_ai_influencers_suggested_messages", suggested_messages)
    holds = JsonbIndex("ix_ai_influencers_metadata", details)
    newest = Index("ix_ai_influencers_created_at_id", created_at, id)


class Conversation(Base):
    """What one user and one influencer say to each other."""

    __tablename__ = "conversations"

    id: Mapped[uuid.UUID] = _id()
    user_id: Mapped[str] = mapped_column(Text)
    influencer_id: Mapped[uuid.UUID] = mapped_column(
        Uuid, ForeignKey("ai_influencers.id"), index=True
    )
    details: Mapped[Any] = _document("metadata")
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()

    of_user = Index("idx_conversations_user", user_id)
    holds = JsonbIndex("ix_conversations_metadata", details)


class Message(Base):
    """One thing that was said, by `role`."""

    __tablename__ = "messages"

    id: Mapped[uuid.UUID] = _id()
    conversation_id: Mapped[uuid.UUID] = mapped_column(
        Uuid, ForeignKey("conversations.id", ondelete="CASCADE")
    )
    role: Mapped[str] = mapped_column(Text)
    content: Mapped[str | None] = mapped_column(Text)
    details: Mapped[Any] = _document("metadata")
    token_count: Mapped[int | None]
    created_at: Mapped[datetime] = _now()
    search_vector: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)

    of_conversation = Index("idx_messages_conversation_created", conversation_id, created_at.desc())
    holds = JsonbIndex("ix_messages_metadata", details)
    search = FullTextIndex(
        "ix_messages_search_vector",
        [(content, "A")],
        stored=search_vector,
        configuration=ENGLISH_UNACCENT,
    )
