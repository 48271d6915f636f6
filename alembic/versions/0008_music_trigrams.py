"""Music: typo-tolerant search of artists and tracks."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = {"artists": "name", "tracks": "title"}


def upgrade() -> None:
    for table, column in COLUMNS.items():
        op.create_index_online(
            f"ix_{table}_{column}_trgm",
            table,
            [column],
            postgresql_using="gin",
            postgresql_ops={column: "gin_trgm_ops"},
        )


def downgrade() -> None:
    for table, column in reversed(COLUMNS.items()):
        op.drop_index_online(f"ix_{table}_{column}_trgm")
