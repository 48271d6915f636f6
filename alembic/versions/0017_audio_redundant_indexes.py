"""Audio: two indexes go that repeat the primary key and a unique constraint."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

REDUNDANT = {
    "ix_sample_embeddings_id": "id",
    "idx_sample_embeddings_sample_id": "sample_id",
}


def upgrade() -> None:
    for name in REDUNDANT:
        op.drop_index_online(name)


def downgrade() -> None:
    for name, column in REDUNDANT.items():
        op.create_index_online(name, "sample_embeddings", [column])
