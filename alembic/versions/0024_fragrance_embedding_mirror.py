"""Fragrances: version 1 follows `fragrances.embedding`, whoever writes it."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# To read and compare a vector that lies out of line costs far more than the planner thinks, which
# would rather read all of the popular than their index. This says what it costs; in SQL it would
# be inlined, and its cost forgotten.
HAS_DIRECTION = """
CREATE OR REPLACE FUNCTION has_direction(embedding vector) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
BEGIN
    RETURN vector_norm(embedding) <> 0;
END
$$
"""
# A trigger, as the application that writes today knows nothing of versions and has no rights to
# their table. It runs as its owner, and so where nobody's temporary table can take a name of ours.
MIRROR = """
CREATE OR REPLACE FUNCTION mirror_fragrance_embedding() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF new.embedding IS NULL OR vector_norm(new.embedding) = 0 THEN
        DELETE FROM fragrance_embeddings_multi WHERE fragrance_id = new.id AND version = 1;
    ELSE
        INSERT INTO fragrance_embeddings_multi (fragrance_id, version, embedding)
        SELECT new.id, version, l2_normalize(new.embedding)::halfvec(2048)
        FROM fragrance_embedding_versions WHERE version = 1 AND NOT is_retired
        ON CONFLICT (fragrance_id, version)
        DO UPDATE SET embedding = excluded.embedding, updated_at = now();
    END IF;
    RETURN NULL;
END
$$
"""
SETTLE = """
DO $settle$
BEGIN
    EXECUTE 'ALTER FUNCTION mirror_fragrance_embedding() SET search_path = '
            || current_setting('search_path') || ', pg_temp';
END
$settle$
"""


def upgrade() -> None:
    op.execute(HAS_DIRECTION)
    op.execute(MIRROR)
    op.execute(SETTLE)
    # SHARE ROW EXCLUSIVE on fragrances. The backfill goes by id: what changes it may pass it by.
    op.execute(
        """
        CREATE OR REPLACE TRIGGER mirror_fragrance_embedding
        AFTER INSERT OR UPDATE OF id, embedding ON fragrances
        FOR EACH ROW EXECUTE FUNCTION mirror_fragrance_embedding()
        """
    )


def downgrade() -> None:
    # ACCESS EXCLUSIVE on fragrances
    op.execute("DROP TRIGGER IF EXISTS mirror_fragrance_embedding ON fragrances")
    op.execute("DROP FUNCTION IF EXISTS mirror_fragrance_embedding()")
    op.execute("DROP FUNCTION IF EXISTS has_direction(vector)")
