"""Music: the extensions that its indexes need."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EXTENSIONS = {
    "vector": ("0.7.0", "half-precision and sparse vectors came with 0.7.0"),
    "pg_trgm": ("1.6", "fast GIN scans of similarity came with 1.6"),
    "unaccent": ("1.1", "its rules of today came with 1.1"),
}


def upgrade() -> None:
    for name, (minimum, reason) in EXTENSIONS.items():
        op.create_extension(name, minimum, reason)


def downgrade() -> None:
    for name in reversed(EXTENSIONS):
        op.drop_extension(name)
