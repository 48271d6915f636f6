"""Audio: what a sample sounds like as a vector that can be indexed."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ARRAY, VECTOR = "double precision[]", "vector(1536)"
TO_ARRAY, TO_VECTOR = f"vibe_vector::real[]::{ARRAY}", f"vibe_vector::{VECTOR}"


def upgrade() -> None:
    # The old column stays. Drop it in a revision of your own: op.drop_replaced_column.
    op.change_column_type_online(
        "sample_embeddings",
        "vibe_vector",
        VECTOR,
        using=TO_VECTOR,
        reverse_using=TO_ARRAY,
        key_type="integer",
        existing_type=ARRAY,
        rehearse=True,
    )


def downgrade() -> None:
    op.change_column_type_online(
        "sample_embeddings",
        "vibe_vector",
        ARRAY,
        using=TO_ARRAY,
        reverse_using=TO_VECTOR,
        key_type="integer",
        existing_type=VECTOR,
    )
