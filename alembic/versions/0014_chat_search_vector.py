"""Chat: full-text search of messages."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_search_vector_online(
        "messages",
        "search_vector",
        {"content": "A"},
        configuration="public.english_unaccent",
        key_type="uuid",
    )


def downgrade() -> None:
    op.drop_search_vector_online("messages", "search_vector")
