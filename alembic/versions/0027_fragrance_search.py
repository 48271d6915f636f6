"""Fragrances: by words, by misspelt name, by brand, by accords."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

WORDS = {"name": "A", "brand": "B", "description": "C"}
GIN = {"name_trgm": ("name", "gin_trgm_ops"), "accords": ("accords", "jsonb_path_ops")}


def upgrade() -> None:
    op.add_search_vector_online("fragrances", "search_vector", WORDS, key_type="uuid")
    for name, (column, opclass) in GIN.items():
        op.create_index_online(
            f"ix_fragrances_{name}",
            "fragrances",
            [column],
            postgresql_using="gin",
            postgresql_ops={column: opclass},
        )
    op.create_index_online("ix_fragrances_brand", "fragrances", ["brand"])


def downgrade() -> None:
    op.drop_index_online("ix_fragrances_brand")
    for name in reversed(GIN):
        op.drop_index_online(f"ix_fragrances_{name}")
    op.drop_search_vector_online("fragrances", "search_vector")
