"""Chat: the tables that the application runs on today, if they are not there."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = {
    "ai_influencers": (
        """CREATE TABLE ai_influencers (
            id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            name                text NOT NULL UNIQUE,
            display_name        text NOT NULL,
            system_instructions text NOT NULL,
            personality_traits  jsonb NOT NULL DEFAULT '{}',
            suggested_messages  jsonb NOT NULL DEFAULT '[]',
            metadata            jsonb NOT NULL DEFAULT '{}',
            is_active           boolean NOT NULL DEFAULT true,
            created_at          timestamptz NOT NULL DEFAULT now(),
            updated_at          timestamptz NOT NULL DEFAULT now()
        )""",
    ),
    "conversations": (
        """CREATE TABLE conversations (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id       text NOT NULL,
            influencer_id uuid NOT NULL REFERENCES ai_influencers (id),
            metadata      jsonb NOT NULL DEFAULT '{}',
            created_at    timestamptz NOT NULL DEFAULT now(),
            updated_at    timestamptz NOT NULL DEFAULT now()
        )""",
        "CREATE INDEX idx_conversations_user ON conversations (user_id)",
    ),
    "messages": (
        """CREATE TABLE messages (
            id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            conversation_id uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            role            text NOT NULL,
            content         text,
            metadata        jsonb NOT NULL DEFAULT '{}',
            token_count     integer,
            created_at      timestamptz NOT NULL DEFAULT now()
        )""",
        """CREATE INDEX idx_messages_conversation_created
           ON messages (conversation_id, created_at DESC)""",
        "CREATE INDEX idx_messages_conv_created ON messages (conversation_id, created_at DESC)",
    ),
}


def upgrade() -> None:
    for name, statements in TABLES.items():
        op.adopt_table(name, *statements)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.release_table(name)
