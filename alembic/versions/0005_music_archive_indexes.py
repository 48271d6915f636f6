"""Music: archives by what their documents hold."""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
KEYS = {
    "genre": "(left(playlist_data ->> 'genre', 256))",
    "mood": "(left(playlist_data ->> 'mood', 256))",
    "source": "(left(playlist_data ->> 'source', 256))",
    "year": """(CASE WHEN jsonb_typeof(playlist_data -> 'year') = 'number'
                      AND length(playlist_data ->> 'year') <= 100
                     THEN (playlist_data ->> 'year')::numeric END)""",
}


def upgrade() -> None:
    op.create_index_online(
        "ix_archives_playlist_data",
        "archives",
        ["playlist_data"],
        postgresql_using="gin",
        postgresql_ops={"playlist_data": "jsonb_path_ops"},
    )
    for key, expression in KEYS.items():
        op.create_index_online(f"ix_archives_{key}", "archives", [text(expression)])
    op.create_index_online("ix_archives_created_at_id", "archives", ["created_at", "id"])


def downgrade() -> None:
    op.drop_index_online("ix_archives_created_at_id")
    for key in reversed(KEYS):
        op.drop_index_online(f"ix_archives_{key}")
    op.drop_index_online("ix_archives_playlist_data")
