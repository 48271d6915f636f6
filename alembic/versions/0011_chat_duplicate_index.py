"""Chat: one index on the messages of a conversation, where there were two of one definition."""

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS = ["conversation_id", text("created_at DESC")]


def upgrade() -> None:
    # Only when the one that stays is there and valid may the other go.
    op.create_index_online("idx_messages_conversation_created", "messages", COLUMNS)
    op.drop_index_online("idx_messages_conv_created")


def downgrade() -> None:
    op.create_index_online("idx_messages_conv_created", "messages", COLUMNS)
