"""Chat: conversations of an influencer, and rows by what their documents hold."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

DOCUMENTS = {
    "ai_influencers": ("personality_traits", "suggested_messages", "metadata"),
    "conversations": ("metadata",),
    "messages": ("metadata",),
}


def upgrade() -> None:
    op.create_index_online("ix_conversations_influencer_id", "conversations", ["influencer_id"])
    op.create_index_online(
        "ix_ai_influencers_created_at_id", "ai_influencers", ["created_at", "id"]
    )
    for table, columns in DOCUMENTS.items():
        for column in columns:
            op.create_index_online(
                f"ix_{table}_{column}",
                table,
                [column],
                postgresql_using="gin",
                postgresql_ops={column: "jsonb_path_ops"},
            )


def downgrade() -> None:
    for table, columns in reversed(DOCUMENTS.items()):
        for column in reversed(columns):
            op.drop_index_online(f"ix_{table}_{column}")
    op.drop_index_online("ix_ai_influencers_created_at_id")
    op.drop_index_online("ix_conversations_influencer_id")
