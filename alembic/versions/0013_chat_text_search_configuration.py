"""Chat: English words without accents, stemmed (messages are prose)."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_text_search_configuration(
        "public.english_unaccent", copy="pg_catalog.english", dictionary="pg_catalog.english_stem"
    )


def downgrade() -> None:
    op.drop_text_search_configuration("public.english_unaccent")
