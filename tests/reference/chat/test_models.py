"""The chat models on a migrated database."""

from typing import Any

import pytest
from sqlalchemy import Text, cast, delete, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from pgmodern.reference.chat import AIInfluencer, Base, Conversation, Message

INDEXES = {str(index.name) for table in Base.metadata.sorted_tables for index in table.indexes}


def test_every_index_is_there_and_valid_and_no_other_but_of_constraints(session: Session) -> None:
    found = text(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid AND NOT indisunique "
        "AND indrelid::regclass::text = ANY (:tables)"
    )
    tables = [table.name for table in Base.metadata.sorted_tables]
    assert set(session.scalars(found, {"tables": tables})) == INDEXES
    assert len(INDEXES) == 10


def test_every_column_is_of_the_type_that_the_database_has(session: Session) -> None:
    inspector = inspect(session.connection())
    for table in Base.metadata.sorted_tables:
        reflected = {column["name"]: column for column in inspector.get_columns(table.name)}
        assert set(reflected) == set(table.columns.keys())
        for column in table.columns:
            there = reflected[column.name]
            assert there["nullable"] == column.nullable, column
            compiled = session.connection().dialect.type_compiler_instance
            assert compiled.process(there["type"]) == compiled.process(column.type), column


@pytest.fixture
def conversation(session: Session) -> Conversation:
    """A conversation with an influencer, both new."""
    influencer = AIInfluencer(name="zoe", display_name="Zoë", system_instructions="")
    session.add(influencer)
    session.flush()
    conversation = Conversation(user_id="user", influencer_id=influencer.id)
    session.add(conversation)
    session.flush()
    return conversation


def _message(session: Session, conversation: Conversation, content: str | None) -> Message:
    message = Message(conversation_id=conversation.id, role="user", content=content)
    session.add(message)
    session.flush()
    return message


def test_defaults_are_the_server_s(session: Session, conversation: Conversation) -> None:
    influencer = session.get_one(AIInfluencer, conversation.influencer_id)
    documents = (influencer.personality_traits, influencer.suggested_messages, influencer.details)
    assert documents == ({}, [], {})
    assert influencer.is_active
    assert conversation.details == _message(session, conversation, None).details == {}
    assert conversation.updated_at == session.scalar(select(func.now()))


@pytest.mark.quick
def test_the_words_of_a_message_are_stemmed_and_without_accents(
    session: Session, conversation: Conversation
) -> None:
    message = _message(session, conversation, "The naïve dogs were running")
    shown = select(cast(Message.search_vector, Text)).where(Message.id == message.id)
    assert session.scalar(shown) == "'dog':3A 'naiv':2A 'run':5A"
    message.content = None
    session.flush()
    assert session.scalar(shown) == ""


def test_the_words_are_read_only_when_they_are_asked_for(
    session: Session, conversation: Conversation
) -> None:
    message = select(Message).where(Message.id == _message(session, conversation, "hello").id)
    session.expunge_all()
    assert "search_vector" not in str(message)
    found = session.scalars(message.options(undefer(Message.search_vector))).one()
    assert found.search_vector is not None


def test_a_conversation_takes_its_messages_along(
    session: Session, conversation: Conversation
) -> None:
    _message(session, conversation, "hello")
    session.execute(delete(Conversation))
    assert session.scalar(select(func.count()).select_from(Message)) == 0


def test_an_influencer_with_conversations_stays(
    session: Session, conversation: Conversation
) -> None:
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(delete(AIInfluencer))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\x01 <>&",
        "é" * 5000,
        "x" * 1_500_000,
        "word " * 300_000,
        " ".join(map(str, range(200_000))),
        "\U0001f469\u200d\U0001f467 " * 10_000,
    ],
    ids=["empty", "odd", "long word", "longer word", "words", "more than tsvector holds", "emoji"],
)
def test_any_content_can_be_stored(
    content: str, session: Session, conversation: Conversation
) -> None:
    message = _message(session, conversation, content)
    assert session.scalar(select(Message.content).where(Message.id == message.id)) == content


ODD: list[Any] = [None, [], "text", 7, {"energy": ["calm", {"a": None}]}, {"": 10**300}, [[]] * 500]


@pytest.mark.parametrize("document", ODD, ids=lambda each: type(each).__name__)
def test_any_document_can_be_kept(document: Any, session: Session) -> None:
    values = {"name": "x", "display_name": "x", "system_instructions": ""}
    documents = dict.fromkeys(("personality_traits", "suggested_messages", "details"), document)
    added = insert(AIInfluencer).values(values | documents).returning(AIInfluencer.details)
    assert session.scalar(added) == document
