"""Music: full-text search of artists and tracks."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SOURCES = {"artists": {"name": "A"}, "tracks": {"title": "A", "album": "B"}}


def upgrade() -> None:
    for table, sources in SOURCES.items():
        op.add_search_vector_online(table, "search_vector", sources)


def downgrade() -> None:
    for table in reversed(SOURCES):
        op.drop_search_vector_online(table, "search_vector")
