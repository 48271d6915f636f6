"""Fragrances: embeddings of several versions, each at 2,048, 512 and 128 dimensions."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# At the most one version is the current one, also while a single statement changes which.
VERSIONS = """CREATE TABLE fragrance_embedding_versions (
    version    integer PRIMARY KEY CHECK (version > 0),
    model_name text NOT NULL,
    is_current boolean NOT NULL DEFAULT false,
    is_retired boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (NOT (is_current AND is_retired)),
    CONSTRAINT one_current_version EXCLUDE USING btree (is_current WITH =)
        WHERE (is_current) DEFERRABLE INITIALLY IMMEDIATE
)"""
# The first dimensions of such an embedding are one by themselves, once they are of length 1 again.
# Generated, they cannot disagree with the whole.
EMBEDDINGS = """CREATE TABLE fragrance_embeddings_multi (
    fragrance_id  uuid NOT NULL REFERENCES fragrances (id) ON UPDATE CASCADE ON DELETE CASCADE,
    version       integer NOT NULL REFERENCES fragrance_embedding_versions (version),
    embedding     halfvec(2048) NOT NULL CHECK (l2_norm(embedding) > 0),
    embedding_512 halfvec(512) NOT NULL
                  GENERATED ALWAYS AS (l2_normalize(subvector(embedding, 1, 512))) STORED,
    embedding_128 halfvec(128) NOT NULL
                  GENERATED ALWAYS AS (l2_normalize(subvector(embedding, 1, 128))) STORED,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (fragrance_id, version)
)"""
# By it a version's embeddings are found when the version is to go.
BY_VERSION = """CREATE INDEX ix_fragrance_embeddings_multi_version
ON fragrance_embeddings_multi (version)"""


def upgrade() -> None:
    op.adopt_table("fragrance_embedding_versions", VERSIONS)
    op.execute(
        """
        INSERT INTO fragrance_embedding_versions (version, model_name, is_current)
        SELECT 1, 'fragrances.embedding', true
        WHERE NOT EXISTS (SELECT FROM fragrance_embedding_versions)
        """
    )
    op.adopt_table("fragrance_embeddings_multi", EMBEDDINGS, BY_VERSION)


def downgrade() -> None:
    # ACCESS EXCLUSIVE on both, as the foreign key goes too, and before any row is locked: who
    # deletes a fragrance would wait for its embedding, and we for that transaction.
    op.execute("LOCK TABLE fragrances IN ACCESS EXCLUSIVE MODE")
    op.execute("LOCK TABLE fragrance_embeddings_multi IN ACCESS EXCLUSIVE MODE NOWAIT")
    # What was written while 0025 went down.
    op.execute(
        """
        DELETE FROM fragrance_embeddings_multi AS multi USING fragrances AS fragrance
        WHERE multi.version = 1 AND fragrance.id = multi.fragrance_id
          AND multi.embedding = l2_normalize(fragrance.embedding)::halfvec(2048)
        """
    )
    op.execute(
        """
        DELETE FROM fragrance_embedding_versions AS version
        WHERE version = 1 AND is_current AND model_name = 'fragrances.embedding'
          AND NOT EXISTS (SELECT FROM fragrance_embeddings_multi)
        """
    )
    op.release_table("fragrance_embeddings_multi")
    op.release_table("fragrance_embedding_versions")
