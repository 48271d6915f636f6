"""What the chat application asks, at a size at which indexes matter."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.errors import DocumentError
from pgmodern.queries.explain import Explain, indexes_used
from pgmodern.reference.chat import (
    AIInfluencer,
    AsyncConversationRepository,
    AsyncInfluencerRepository,
    AsyncMessageRepository,
    Conversation,
    ConversationRepository,
    InfluencerRepository,
    Message,
    MessageRepository,
)
from tests.plans import reported
from tests.reference.chat.data import (
    CONVERSATIONS,
    HEAVY,
    INFLUENCERS,
    LIGHT,
    MESSAGES,
    START,
    uid,
    user_of,
)

AFTER = (START, uid(1, 10_000))
Read = Callable[[Any], Any]
CHAT: dict[str, type[Any]] = {
    "influencers": InfluencerRepository,
    "conversations": ConversationRepository,
    "messages": MessageRepository,
}
ASYNCHRONOUS: dict[str, type[Any]] = {
    "influencers": AsyncInfluencerRepository,
    "conversations": AsyncConversationRepository,
    "messages": AsyncMessageRepository,
}
TRAITS, BY_TIME = "ix_ai_influencers_personality_traits", "ix_ai_influencers_created_at_id"
OF_USER, OF_CONVERSATION = "idx_conversations_user", "idx_messages_conversation_created"
WORDS = "ix_messages_search_vector"
READS: list[tuple[str, str, Read, set[str]]] = [
    ("influencers", "newest", lambda r: r.newest(), {BY_TIME}),
    ("influencers", "newest: after", lambda r: r.newest(5, AFTER), {BY_TIME}),
    ("influencers", "with_traits", lambda r: r.with_traits({"energy": "calm"}), {TRAITS}),
    ("influencers", "containing", lambda r: r.containing({"energy": "calm"}), {TRAITS}),
    ("influencers", "matching", lambda r: r.matching('$.energy ? (@ == "calm")'), {TRAITS}),
    (
        "influencers",
        "where",
        lambda r: r.where(AIInfluencer.traits.contains({"energy": "calm"})),
        {TRAITS},
    ),
    (
        "influencers",
        "with_metadata",
        lambda r: r.with_metadata({"origin": {"place": "place 9"}}, 3),
        {"ix_ai_influencers_metadata"},
    ),
    (
        "influencers",
        "suggesting",
        lambda r: r.suggesting("Ask me about 8"),
        {"ix_ai_influencers_suggested_messages"},
    ),
    (
        "conversations",
        "with_metadata",
        lambda r: r.with_metadata({"topic": "topic 9"}),
        {"ix_conversations_metadata"},
    ),
    (
        "conversations",
        "conversations_with_last_messages",
        lambda r: r.conversations_with_last_messages(LIGHT, 3),
        {OF_USER, OF_CONVERSATION},
    ),
    (
        "messages",
        "with_metadata",
        lambda r: r.with_metadata({"tool": "tool 9"}),
        {"ix_messages_metadata"},
    ),
    ("messages", "search_messages", lambda r: r.search_messages("zebras"), {WORDS}),
    (
        "messages",
        "search_messages: of a conversation",
        lambda r: r.search_messages("like", conversation_id=uid(2, 0)),
        {"conversations_pkey", OF_CONVERSATION},
    ),
    (
        "messages",
        "search_messages: of a conversation of a user",
        lambda r: r.search_messages("like", conversation_id=uid(2, 0), user_id=HEAVY),
        {"conversations_pkey", OF_CONVERSATION},
    ),
    *(
        (
            "messages",
            f"search_messages: {word} of {user}",
            lambda r, word=word, user=user: r.search_messages(word, user_id=user),
            {OF_USER, OF_CONVERSATION},
        )
        for word, user in (("zebras", HEAVY), ("like", HEAVY), ("like", LIGHT))
    ),
]
every_read = pytest.mark.parametrize(
    ("table", "read", "indexes"),
    [pytest.param(t, read, indexes, id=f"{t} {name}") for t, name, read, indexes in READS],
)
both_modes = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])


@both_modes
@every_read
def test_every_read_is_served_by_its_declared_index(
    table: str, read: Read, indexes: set[str], mode: str, session: Session
) -> None:
    with reported(session, mode) as plans:
        found = read(CHAT[table](session))
    assert found
    (plan,) = plans
    assert indexes <= set(indexes_used(plan))


@every_read
def test_every_read_is_one_statement(
    table: str, read: Read, indexes: set[str], session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    read(CHAT[table](session))
    assert len(sent) == 1


@pytest.mark.quick
@every_read
async def test_both_twins_answer_the_same(
    table: str,
    read: Callable[[Any], Awaitable[Any]],
    indexes: set[str],
    session: Session,
    async_session: AsyncSession,
) -> None:
    answer = read(CHAT[table](session))
    assert await read(ASYNCHRONOUS[table](async_session)) == answer


def test_an_influencer_s_conversations_are_found_by_index(session: Session) -> None:
    theirs = select(Conversation.id).where(Conversation.influencer_id == uid(1, 7))
    plan = session.scalar(Explain(theirs))
    assert indexes_used(plan) == ["ix_conversations_influencer_id"]


# --- influencers


def test_influencers_with_calm_energy_are_found(session: Session) -> None:
    page = InfluencerRepository(session).with_traits({"energy": "calm"}, 25)
    more = InfluencerRepository(session).with_traits({"energy": "calm"}, 25, page.after)
    calm = [uid(1, n) for n in range(INFLUENCERS) if n % 100 == 7]
    assert [hit.id for hit in page.rows + more.rows] == calm[::-1]
    assert more.after is None
    hit = page.rows[0]
    assert (hit.personality_traits, hit.suggested_messages[1], hit.is_active) == (
        {"energy": "calm"},
        "Hello",
        True,
    )


def _influencer(session: Session, **values: Any) -> uuid.UUID:
    given = {"name": "new", "display_name": "New", "system_instructions": ""} | values
    return session.execute(
        insert(AIInfluencer).values(given).returning(AIInfluencer.id)
    ).scalar_one()


@pytest.mark.parametrize(
    "value",
    ["Beyoncé", "", "100% _", "quo\"te' \\", "雪", "x" * 9_000, 7, None, ["a", {"b": 1.5}]],
    ids=lambda value: repr(value)[:12],
)
def test_an_influencer_is_found_by_exactly_what_its_documents_hold(
    session: Session, value: Any
) -> None:
    influencers = InfluencerRepository(session)
    new = _influencer(
        session,
        personality_traits={"new": value, "other": 1},
        details={"deep": {"new": value}},
        suggested_messages=[value],
    )
    assert [hit.id for hit in influencers.with_traits({"new": value}).rows] == [new]
    assert [hit.id for hit in influencers.with_metadata({"deep": {"new": value}}).rows] == [new]
    assert influencers.with_traits({"new": f"{value}!"}).rows == []
    assert influencers.with_metadata({"new": value}).rows == []
    if isinstance(value, str):
        assert [hit.id for hit in influencers.suggesting(value).rows] == [new]
        assert influencers.suggesting(f"{value}!").rows == []


@pytest.mark.quick
def test_a_document_that_jsonb_cannot_hold_is_refused(session: Session) -> None:
    for ask in (
        InfluencerRepository(session).suggesting,
        InfluencerRepository(session).with_traits,
        ConversationRepository(session).with_metadata,
        MessageRepository(session).with_metadata,
    ):
        with pytest.raises(DocumentError):
            ask("\x00")
    assert not session.in_transaction()


# --- conversations


def test_a_user_s_conversations_come_with_their_last_messages(session: Session) -> None:
    found = ConversationRepository(session).conversations_with_last_messages(LIGHT, 3)
    numbers = [n for n in range(CONVERSATIONS) if user_of(n) == LIGHT][::-1]
    assert [each.id for each in found] == [uid(2, n) for n in numbers]
    for each, number in zip(found, numbers, strict=True):
        last = range(number, MESSAGES, CONVERSATIONS)[-3:][::-1]
        assert [message.id for message in each.messages] == [uid(3, n) for n in last]
        assert (each.user_id, each.metadata) == (LIGHT, {"topic": f"topic {number % 150}"})
        assert each.messages[0].metadata == {"tool": f"tool {last[0] % 900}"}
        assert all(message.conversation_id == each.id for message in each.messages)


@pytest.mark.quick
def test_a_conversation_without_messages_comes_too(session: Session) -> None:
    conversation = insert(Conversation).values(user_id="new", influencer_id=uid(1, 0))
    session.execute(conversation.values(details=[]))
    conversations = ConversationRepository(session)
    (found,) = conversations.conversations_with_last_messages("new", 2)
    assert (found.messages, found.metadata) == ((), [])
    assert all(
        each.messages == () for each in conversations.conversations_with_last_messages(LIGHT, 0)
    )


def test_all_messages_come_when_there_are_fewer(session: Session) -> None:
    found = ConversationRepository(session).conversations_with_last_messages(HEAVY, 1_000)
    assert len(found) == CONVERSATIONS // 4
    assert {len(each.messages) for each in found} == {MESSAGES // CONVERSATIONS}


@pytest.mark.parametrize("user", ["nobody", "", "%", "user _", "' OR 1=1 --", "\x00", "\ud800"])
def test_a_user_who_is_nobody_has_nothing(session: Session, user: str) -> None:
    assert ConversationRepository(session).conversations_with_last_messages(user, 3) == []
    assert MessageRepository(session).search_messages("like", user_id=user) == []


@both_modes
def test_nothing_but_the_last_messages_is_read(session: Session, mode: str) -> None:
    with reported(session, mode, analyze=True) as plans:
        ConversationRepository(session).conversations_with_last_messages(HEAVY, 1)
    scans = [each for each in _nodes(plans[0]) if each.get("Index Name") == OF_CONVERSATION]
    assert [scan["Actual Loops"] for scan in scans] == [CONVERSATIONS // 4]
    assert scans[0]["Actual Rows"] <= 3  # two share the last minute; the one before ends them


def _nodes(node: Any) -> list[dict[str, Any]]:
    return [node, *(each for child in node.get("Plans", ()) for each in _nodes(child))]


# --- counts


@pytest.mark.quick
def test_messages_are_counted_at_once(session: Session) -> None:
    count = MessageRepository(session).estimated_count()
    assert (count.count, count.is_estimate) == (MESSAGES, True)
    few = MessageRepository(session).estimated_count(Message.conversation_id == uid(2, 7))
    assert (few.count, few.is_estimate) == (MESSAGES // CONVERSATIONS, False)
    own = ConversationRepository(session).estimated_count(Conversation.user_id == LIGHT)
    assert own.count == len([n for n in range(CONVERSATIONS) if user_of(n) == LIGHT])


# --- hostile input

_hostile = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_hostile
@given(st.text(st.characters(exclude_categories=[])))
@example("'; DROP TABLE messages; --")
@example("\x00")
@example("\ud800" * 600)
@example('{"energy": "calm"}')
def test_no_text_ever_makes_a_read_fail(session: Session, asked: str) -> None:
    with session.begin_nested():
        conversations = ConversationRepository(session)
        assert conversations.conversations_with_last_messages(asked, 1) == []
        messages = MessageRepository(session)
        for read in (
            InfluencerRepository(session).with_traits,
            InfluencerRepository(session).suggesting,
            conversations.with_metadata,
            messages.with_metadata,
        ):
            try:
                read(asked)
            except DocumentError:
                assert "\x00" in asked or any("\ud800" <= c <= "\udfff" for c in asked)


def test_an_injection_is_a_text_like_any_other(session: Session) -> None:
    asked = "'; DROP TABLE messages; --"
    messages = MessageRepository(session)
    messages.search_messages(asked, user_id=asked)
    messages.with_metadata({asked: asked})
    assert session.scalar(select(func.count()).select_from(Message)) == MESSAGES
