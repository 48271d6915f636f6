"""Chat: who keeps influencers' profiles in a process hears when one is changed."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_change_notification("ai_influencers", ["id", "name"])


def downgrade() -> None:
    op.drop_change_notification("ai_influencers")
