"""Messages by their words: of everybody, of a conversation, of a user, however many they are."""

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Select, func, insert, select, text
from sqlalchemy.orm import Session

from pgmodern.queries.text import web_search
from pgmodern.reference.chat import Conversation, Message, MessageRepository
from pgmodern.reference.chat.statements import FEW_MATCHES, FEW_OF_USER
from tests.plans import reported
from tests.reference.chat.data import CONVERSATIONS, HEAVY, LIGHT, MESSAGES, START, uid

OF_CONVERSATION, WORDS = "idx_messages_conversation_created", "ix_messages_search_vector"
SAID = [
    "The dogs were running late",
    "A naïve café in Zürich",
    "I run, you run, <b>dogs</b> & all",
    None,
    "",
    "100% _sure_ : it's {fine} \\ ok",
    "雪が 降る 🙂",
    "the and of",
]


@pytest.fixture
def said(session: Session) -> Session:
    """A session in which a new user has said a few things in one conversation."""
    own = {"id": uid(2, 90_000), "user_id": "new", "influencer_id": uid(1, 0)}
    session.execute(insert(Conversation).values(own))
    session.execute(
        insert(Message),
        [
            {
                "id": uid(3, 90_000 + number),
                "conversation_id": own["id"],
                "role": "user",
                "content": content,
                "created_at": START,
            }
            for number, content in enumerate(SAID)
        ],
    )
    return session


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("run", [2, 0]),
        ("dog runs", [0, 2]),
        ("NAIVE cafe", [1]),
        ("zurich", [1]),
        ('"running late"', [0]),
        ('"late running"', []),
        ("dogs -late", [2]),
        ("zurich or late", [0, 1]),
        ("雪が", [6]),
        ("100%", [5]),
        ("sure", [5]),
        ("%", []),
        ("", []),
        ("the", []),
        ("nothing' OR 1=1 --", []),
    ],
)
@pytest.mark.parametrize(
    "within",
    [{"conversation_id": uid(2, 90_000)}, {"user_id": "new"}],
    ids=["conversation", "user"],
)
def test_words_are_stemmed_and_without_accents(
    said: Session, asked: str, expected: list[int], within: dict[str, Any]
) -> None:
    hits = MessageRepository(said).search_messages(asked, **within)
    assert sorted(hit.id for hit in hits) == sorted(uid(3, 90_000 + n) for n in expected)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)


def test_a_hit_shows_what_was_found_as_html(said: Session) -> None:
    (hit,) = MessageRepository(said).search_messages("dog -late", user_id="new")
    assert hit.highlight == "I run, you run, &lt;b&gt;<b>dogs</b>&lt;/b&gt; &amp; all"
    assert (hit.content, hit.role, hit.metadata, hit.token_count) == (SAID[2], "user", {}, None)
    assert (hit.conversation_id, hit.created_at) == (uid(2, 90_000), START)


@pytest.mark.quick
def test_who_says_it_more_often_comes_first_and_equals_go_by_id(said: Session) -> None:
    hits = MessageRepository(said).search_messages("run", user_id="new")
    assert [hit.id for hit in hits] == [uid(3, 90_002), uid(3, 90_000)]
    equal = MessageRepository(said).search_messages("zebra", 4, user_id=HEAVY)
    assert [hit.id for hit in equal] == [uid(3, n) for n in range(0, 16_000, 4_000)]


@pytest.mark.quick
def test_a_conversation_is_searched_only_for_the_user_whose_it_is(session: Session) -> None:
    messages, conversation = MessageRepository(session), uid(2, 0)
    own = messages.search_messages("topic", conversation_id=conversation)
    assert own == []  # stems are whole words
    own = messages.search_messages("thinking", 99, conversation_id=conversation)
    assert [hit.id for hit in own] == [uid(3, n) for n in range(0, MESSAGES, CONVERSATIONS)]
    theirs = messages.search_messages("thinking", 99, conversation_id=conversation, user_id=HEAVY)
    assert theirs == own
    for user, chosen in ((LIGHT, conversation), (HEAVY, uuid.uuid4())):
        assert not messages.search_messages("thinking", conversation_id=chosen, user_id=user)


def _expected(asked: str, user: str, limit: int) -> Select[Any]:
    query = Message.search.query(web_search(asked))
    return (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Conversation.user_id == user, Message.search.matches(query))
        .order_by(Message.search.rank(query).desc(), Message.id)
        .limit(limit)
    )


_words = st.sampled_from(
    ["zebra", "like", "thinking", "topic7", "topic8", "everybody", "the", "no"]
)
_asked = st.lists(st.sampled_from(["", "-", '"', "or "]) | _words, max_size=5).map(" ".join)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(_asked, st.sampled_from([HEAVY, LIGHT, "user 396", "nobody"]), st.integers(0, 50))
@example("zebra", HEAVY, 10)
@example("like", HEAVY, 10)
@example("-zebra", HEAVY, 10)
def test_a_user_s_messages_are_those_of_a_plain_join(
    session: Session, asked: str, user: str, limit: int
) -> None:
    hits = MessageRepository(session).search_messages(asked, limit, user_id=user)
    assert [hit.id for hit in hits] == list(session.scalars(_expected(asked, user, limit)))


def _read(node: Any, index: str) -> int:
    """Return how many rows the scans of an index gave, in a plan with what came of it."""
    own = node["Actual Rows"] * node["Actual Loops"] if node.get("Index Name") == index else 0
    return int(own) + sum(_read(child, index) for child in node.get("Plans", ()))


def test_the_heavy_user_and_the_common_word_are_beyond_what_is_few(session: Session) -> None:
    of_user = select(func.count()).select_from(Message).join(Conversation)
    heavy = session.execute(of_user.where(Conversation.user_id == HEAVY)).scalar_one()
    assert heavy > FEW_OF_USER
    like = Message.search.matches(Message.search.query("like"))
    assert session.execute(select(func.count()).where(like)).scalar_one() > FEW_MATCHES


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(
    ("asked", "user", "by_words", "of_user"),
    [
        ("like", LIGHT, (0, 0), (0, 300)),
        ("zebra", LIGHT, (0, 0), (0, 300)),
        ("zebra", HEAVY, (1, 20), (0, FEW_OF_USER + 1)),
        ("like", HEAVY, (0, MESSAGES), (MESSAGES // 4, MESSAGES // 4 + FEW_OF_USER + 1)),
    ],
)
def test_no_more_is_read_than_the_fewer_of_both(
    session: Session,
    asked: str,
    user: str,
    by_words: tuple[int, int],
    of_user: tuple[int, int],
    mode: str,
) -> None:
    session.execute(text("SET LOCAL enable_seqscan = off"))
    with reported(session, mode, analyze=True) as plans:
        MessageRepository(session).search_messages(asked, user_id=user)
    (plan,) = plans
    assert by_words[0] <= _read(plan, WORDS) <= by_words[1]
    assert of_user[0] <= _read(plan, OF_CONVERSATION) <= of_user[1]


def _conditions(node: Any) -> list[str]:
    """Return the conditions that a plan tests for row after row."""
    own = [node["Filter"]] if "Filter" in node else []
    return own + [each for child in node.get("Plans", ()) for each in _conditions(child)]


def test_what_was_typed_is_parsed_once_in_a_generic_plan_too(session: Session) -> None:
    with reported(session, "force_generic_plan") as plans:
        MessageRepository(session).search_messages("like", user_id=HEAVY)
    conditions = _conditions(plans[0])
    assert any("search_vector" in each for each in conditions)
    assert not any("websearch_to_tsquery" in each for each in conditions)


_anything = st.text(st.characters(exclude_categories=[]))
_TOKENS = """' " \\ % _ ; -- $$ & | ! <-> :* ( ) or -a { } %s %(x)s :x $1 ? a"""
_operators = st.lists(st.sampled_from([*_TOKENS.split(), "\x00", "\ud800", "\n"]), max_size=30)


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(_anything | _operators.map("".join))
@example("\x00" * 100_000)
@example("-" * 512 + "a")
@example("a -b " * 100)
@example('"' * 512)
def test_no_text_ever_makes_a_search_fail(session: Session, asked: str) -> None:
    with session.begin_nested():
        messages = MessageRepository(session)
        within: list[dict[str, Any]] = [{}, {"user_id": asked}, {"user_id": HEAVY}]
        for chosen in [*within, {"conversation_id": uid(2, 0)}]:
            assert all(0 <= hit.score <= 1 for hit in messages.search_messages(asked, **chosen))
