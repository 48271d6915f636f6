"""Music: every playlist document in one shape, in batches."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.backfill_online(
        "archives.playlist_data",
        table="archives",
        key_type="uuid",
        statement="""
            WITH batch AS MATERIALIZED (
                SELECT id, playlist_data FROM archives WHERE {range} ORDER BY id FOR UPDATE
            ), understood AS MATERIALIZED (
                SELECT batch.id, batch.playlist_data, it.document, it.reason
                FROM batch, LATERAL read_playlist(batch.playlist_data) AS it
            ), unreadable AS (
                INSERT INTO unreadable_archives (archive_id, reason)
                SELECT id, reason FROM understood WHERE reason IS NOT NULL
                ON CONFLICT (archive_id) DO UPDATE SET reason = excluded.reason
            ), readable AS (
                DELETE FROM unreadable_archives USING understood
                WHERE archive_id = understood.id AND understood.reason IS NULL
            )
            UPDATE archives SET playlist_data = understood.document
            FROM understood
            WHERE archives.id = understood.id AND understood.document <> understood.playlist_data
        """,
    )


def downgrade() -> None:
    """Leave the documents: their shape is the one that the application writes today."""
