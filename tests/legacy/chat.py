"""Conversations of every shape: without content, with a megabyte of it, in every script."""

import psycopg

from tests.legacy import Legacy

ROWS = """
INSERT INTO ai_influencers
    (id, name, display_name, system_instructions, personality_traits, suggested_messages, metadata)
SELECT gen_random_uuid(), 'influencer ' || i, 'Zoë % :' || i, '', traits::jsonb, says::jsonb,
       more::jsonb
FROM unnest(
    ARRAY['{"energy": "calm"}', '{"energy": ["calm", {"at": 1.10}]}', '[]', 'null', '"calm"'],
    ARRAY['["Hi!", "¿Qué tal?"]', '[]', '{}', '7', 'null'],
    ARRAY['{}', '{"id": 987654321098765432, "a": {"b": [null]}}', 'false', '[[]]', '{"": ""}']
) WITH ORDINALITY AS odd (traits, says, more, i);
INSERT INTO conversations (user_id, influencer_id, metadata)
SELECT CASE WHEN i = 1 THEN '' ELSE 'user ' || i % 7 END, influencer.id, personality_traits
FROM generate_series(1, 60) AS i
JOIN (SELECT *, row_number() OVER (ORDER BY name) FROM ai_influencers) AS influencer
  ON row_number = 1 + i % 5;
INSERT INTO messages (conversation_id, role, content, metadata, token_count, created_at)
SELECT conversation.id, (ARRAY['user', 'assistant', 'system', '', 'Ünknown'])[1 + i % 5],
       'Running late, naïve ' || i || ' 50% :of {it}', metadata, nullif(i, 3),
       timestamptz '2026-01-01' + i / 3 * interval '1 minute'
FROM generate_series(1, 20) AS i, conversations AS conversation;
"""
CONTENTS = (
    None,
    "",
    " \n\t",
    "\x01 <b>&amp;</b> \\x00 %s $1 '; DROP TABLE messages; --",
    "Très déjà vu — 雪が降る 🙂👩‍👩‍👧 שלום",
    "e\u0301te\u0301",
    "x" * 1_500_000,
    " ".join(map(str, range(220_000))),
    "the and of",
)
MANY_ROWS = """
INSERT INTO messages (conversation_id, role, content)
SELECT id, 'user', 'Wörds ' || md5(i::text) || id FROM conversations, generate_series(1, 500) AS i;
"""
WRONG_VECTORS = """
    SELECT count(*) FROM messages WHERE search_vector IS DISTINCT FROM
    setweight(to_tsvector('public.english_unaccent', left(coalesce(content, ''), 200000)), 'A')
"""


def fill(database: psycopg.Connection) -> None:
    """Insert 5 influencers, 60 conversations, and 20 messages in each, one of them very odd."""
    database.execute(ROWS.encode())
    database.cursor().executemany(
        "INSERT INTO messages (conversation_id, role, content) "
        "SELECT id, 'user', %s FROM conversations WHERE user_id = ''",
        [(content,) for content in CONTENTS],
    )


CHAT = Legacy(
    name="chat",
    fill=fill,
    rows={
        "ai_influencers": "to_jsonb(t)",
        "conversations": "to_jsonb(t)",
        "messages": "to_jsonb(t) - 'search_vector'",
    },
    wrong=WRONG_VECTORS,
    many=MANY_ROWS,
)
