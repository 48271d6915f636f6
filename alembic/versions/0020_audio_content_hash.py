"""Audio: of which text an embedding was made, so that a changed one is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable and without a default: ACCESS EXCLUSIVE for an instant.
    column = sa.Column("content_hash", sa.Text)
    op.add_column("sample_embeddings", column, if_not_exists=True)


def downgrade() -> None:
    op.drop_column("sample_embeddings", "content_hash", if_exists=True)
