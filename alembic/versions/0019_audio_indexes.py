"""Audio: the nearest samples, and samples by what a search is restricted to."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

FILTERS = {
    "ix_samples_genre": ("samples", "genre"),
    "ix_samples_musical_key": ("samples", "musical_key"),
    "ix_samples_bpm": ("samples", "bpm"),
    "ix_vibe_analysis_energy": ("vibe_analysis", "energy"),
}


def upgrade() -> None:
    op.create_index_online(
        "ix_sample_embeddings_vibe_vector",
        "sample_embeddings",
        ["vibe_vector"],
        postgresql_using="hnsw",
        postgresql_ops={"vibe_vector": "vector_cosine_ops"},
        postgresql_with={"m": 16, "ef_construction": 128},
    )
    for name, (table, column) in FILTERS.items():
        op.create_index_online(name, table, [column])


def downgrade() -> None:
    for name in reversed(FILTERS):
        op.drop_index_online(name)
    op.drop_index_online("ix_sample_embeddings_vibe_vector")
