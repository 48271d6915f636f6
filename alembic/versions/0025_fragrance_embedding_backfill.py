"""Fragrances: the embeddings that were there before version 1 was followed, in batches."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The rows are locked before they are read: one that changes meanwhile is read as it is then,
    # one that changes later is the trigger's.
    op.backfill_online(
        "fragrances.embedding",
        table="fragrances",
        key_type="uuid",
        statement="""
            WITH batch AS MATERIALIZED (
                SELECT id, embedding FROM fragrances
                WHERE {range} AND embedding IS NOT NULL AND vector_norm(embedding) > 0
                ORDER BY id FOR SHARE
            )
            INSERT INTO fragrance_embeddings_multi (fragrance_id, version, embedding)
            SELECT batch.id, version.version, l2_normalize(batch.embedding)::halfvec(2048)
            FROM batch, fragrance_embedding_versions AS version
            WHERE version.version = 1 AND NOT version.is_retired
            ON CONFLICT (fragrance_id, version) DO NOTHING
        """,
    )


def downgrade() -> None:
    # What an upgrade makes again is not worth keeping the table for. The fragrance is locked first,
    # as by who deletes or changes it.
    op.backfill_online(
        "fragrance_embeddings_multi",
        table="fragrances",
        key_type="uuid",
        statement="""
            WITH batch AS MATERIALIZED (
                SELECT id, embedding FROM fragrances WHERE {range} ORDER BY id FOR SHARE
            )
            DELETE FROM fragrance_embeddings_multi AS multi USING batch
            WHERE multi.fragrance_id = batch.id AND multi.version = 1
              AND multi.embedding = l2_normalize(batch.embedding)::halfvec(2048)
        """,
    )
