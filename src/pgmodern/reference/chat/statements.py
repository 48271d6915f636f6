"""The statements that only the chat application needs."""

import uuid
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    func,
    not_,
    select,
    true,
    union_all,
)

from pgmodern.queries import full_text, last_of_each, with_payload
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.text import storable, web_search
from pgmodern.reference.chat.models import AIInfluencer, Conversation, Message

FEW_OF_USER, FEW_MATCHES = 10_000, 5_000

INFLUENCER = select(
    AIInfluencer.id,
    AIInfluencer.name,
    AIInfluencer.display_name,
    AIInfluencer.personality_traits,
    AIInfluencer.suggested_messages,
    AIInfluencer.details,
    AIInfluencer.is_active,
    AIInfluencer.created_at,
)
MESSAGE = select(
    Message.id,
    Message.conversation_id,
    Message.role,
    Message.content,
    Message.details,
    Message.token_count,
    Message.created_at,
)
CONVERSATION = select(
    Conversation.id,
    Conversation.user_id,
    Conversation.influencer_id,
    Conversation.details,
    Conversation.created_at,
    Conversation.updated_at,
)
_WORDS = bindparam("pgmodern_words", type_=Text)
_USER = bindparam("user_id", type_=Text)
_CONVERSATION = bindparam("conversation_id", type_=Uuid)


def search(
    query: str, limit: int, conversation_id: uuid.UUID | None, user_id: str | None
) -> tuple[Statement, dict[str, Any]]:
    """Select the messages that match, of one conversation or one user if given, the best first.

    Beside it the values of its parameters.
    """
    values: dict[str, Any] = {"pgmodern_words": web_search(query)}
    if conversation_id is not None:
        values["conversation_id"] = conversation_id
    if user_id is not None:
        values["user_id"] = stored(user_id)
    return _search(limit, conversation_id is not None, user_id is not None), values


def stored(user_id: str) -> str | None:
    """Return the id, or None, which is nobody's, for one that PostgreSQL cannot hold."""
    return user_id if storable(user_id) == user_id else None


# As in `pgmodern.repositories`: each statement is built once, the values come with the call.
@lru_cache
def _search(limit: int, in_conversation: bool, of_user: bool) -> Statement:
    if in_conversation:
        found = _within(_conversation(of_user)).order_by(*_BEST_FIRST).limit(rows(limit))
    else:
        found = _of_user(limit) if of_user else full_text(Message.search, _WORDS, limit)
    shown = with_payload(MESSAGE, found, Message.search)
    return shown.add_columns(Message.search.highlight(_QUERY))


# A subquery is parsed once a statement, also in a generic plan, not once for each message.
_QUERY = select(Message.search.query(_WORDS)).scalar_subquery()
_SCORE = Message.search.rank(_QUERY).label("score")
_BEST_FIRST = (_SCORE.desc(), Message.id)


def _conversation(of_user: bool) -> ColumnElement[bool]:
    chosen = select(Conversation.id).where(Conversation.id == _CONVERSATION)
    if of_user:
        chosen = chosen.where(Conversation.user_id == _USER)
    return Message.conversation_id == chosen.scalar_subquery()


def _within(condition: ColumnElement[bool]) -> Statement:
    """Select what matches among the messages that another index finds.

    `IS TRUE` keeps the planner from asking the words' index too: for a common word that costs more
    than all of these messages do, and in a nested loop it asked once for each conversation.
    """
    matches = Message.search.matches(_QUERY).is_(true())
    return select(Message.id, _SCORE).where(condition, matches)


def _of_user(limit: int) -> Statement:
    """Search the messages of a user, who may have very many, for a word that may be very common.

    Whose messages are few, reads them all; else a word that few messages hold is looked up first.
    What is few is found out while the statement runs, as a plan that is kept cannot know it: each
    side of the UNION stands behind a condition that is computed once and may skip it.
    """
    theirs = _once(select(Conversation.id).where(Conversation.user_id == _USER), "theirs")
    ids = func.array(select(theirs.c.id).scalar_subquery(), type_=ARRAY(Uuid))
    of_user = Message.conversation_id == any_(ids)
    matches = select(Message.id, Message.conversation_id, _SCORE)
    matches = matches.where(Message.search.matches(_QUERY)).limit(rows(FEW_MATCHES + 1))
    matching = _once(matches, "matching")
    few_of_user = _count(select(Message.id).where(of_user).limit(rows(FEW_OF_USER + 1)))
    few_matches = select(func.count()).select_from(matching).scalar_subquery() <= FEW_MATCHES
    by_words = case((few_of_user <= FEW_OF_USER, False), else_=few_matches)
    decided = select(by_words.label("by_words")).cte("decided").prefix_with("MATERIALIZED")
    chosen = select(decided.c.by_words).scalar_subquery()
    looked_up = select(matching.c.id, matching.c.score).where(
        matching.c.conversation_id.in_(select(theirs.c.id)), chosen
    )
    found = union_all(looked_up, _within(of_user).where(not_(chosen))).subquery("found")
    best_first = (found.c.score.desc(), found.c.id)
    return select(found.c.id, found.c.score).order_by(*best_first).limit(rows(limit))


def _once(statement: Statement, name: str) -> CTE:
    return statement.cte(name).prefix_with("MATERIALIZED")


def _count(found: Statement) -> ColumnElement[int]:
    return select(func.count()).select_from(found.subquery()).scalar_subquery()


def with_last_messages(user_id: str, n: int) -> tuple[Statement, dict[str, Any]]:
    """Select a user's conversations, the last updated first, each beside its last messages.

    Beside it the values of its parameters.
    """
    return _with_last_messages(n), {"user_id": stored(user_id)}


@lru_cache
def _with_last_messages(n: int) -> Statement:
    theirs = CONVERSATION.where(Conversation.user_id == _USER).order_by(
        Conversation.updated_at.desc(), Conversation.id.desc()
    )
    same = (Conversation.id, Message.conversation_id)
    return last_of_each(theirs, MESSAGE, same, (Message.created_at, Message.id), n)
