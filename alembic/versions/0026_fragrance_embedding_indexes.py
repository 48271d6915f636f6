"""Fragrances: nearest neighbours, at each resolution and among the popular ones."""

from alembic import op
from sqlalchemy import text

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# Of length 1, so that no number is too large for a halfvec: no INSERT may fail by it.
FRAGRANCE = "(l2_normalize(embedding)::halfvec(2048)) halfvec_cosine_ops"
POPULAR = "rating_value >= 4.0 AND rating_count >= 100"
# More links and breadth where distances are told apart by more dimensions.
RESOLUTIONS = {"embedding": (32, 200), "embedding_512": (24, 160), "embedding_128": (16, 128)}


def upgrade() -> None:
    parameters = {"m": 32, "ef_construction": 200}
    for name, where in (("embedding", None), ("popular", POPULAR)):
        op.create_index_online(
            f"ix_fragrances_{name}",
            "fragrances",
            [text(FRAGRANCE)],
            postgresql_using="hnsw",
            postgresql_with=parameters,
            postgresql_where=where and text(where),
        )
    for column, (m, ef_construction) in RESOLUTIONS.items():
        op.create_index_online(
            f"ix_fragrance_embeddings_multi_{column}",
            "fragrance_embeddings_multi",
            [column],
            postgresql_using="hnsw",
            postgresql_with={"m": m, "ef_construction": ef_construction},
            postgresql_ops={column: "halfvec_cosine_ops"},
        )


def downgrade() -> None:
    for column in reversed(RESOLUTIONS):
        op.drop_index_online(f"ix_fragrance_embeddings_multi_{column}")
    op.drop_index_online("ix_fragrances_popular")
    op.drop_index_online("ix_fragrances_embedding")
