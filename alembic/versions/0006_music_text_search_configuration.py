"""Music: words without accents, neither stemmed nor stopped (names are not prose)."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_text_search_configuration("public.simple_unaccent")


def downgrade() -> None:
    op.drop_text_search_configuration("public.simple_unaccent")
