"""Fragrances: what users do, which fragrances belong together, which algorithm does how well."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# Whatever the application does to a user or a fragrance today must not begin to fail: keys that
# change and rows that go take these along. The key of the events holds their time, so that the
# table can be partitioned by it.
TABLES = {
    "user_interaction_events": (
        """CREATE TABLE user_interaction_events (
            id           uuid NOT NULL DEFAULT gen_random_uuid(),
            user_id      uuid NOT NULL REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE,
            fragrance_id uuid REFERENCES fragrances (id) ON UPDATE CASCADE ON DELETE SET NULL,
            event_type   text NOT NULL CHECK (event_type <> ''),
            details      jsonb NOT NULL DEFAULT '{}',
            timestamp    timestamptz NOT NULL DEFAULT now(),
            processed_at timestamptz,
            PRIMARY KEY (id, timestamp)
        )""",
        """CREATE INDEX ix_user_interaction_events_user_id_timestamp
           ON user_interaction_events (user_id, timestamp DESC)""",
        """CREATE INDEX ix_user_interaction_events_unprocessed
           ON user_interaction_events (timestamp, id) WHERE processed_at IS NULL""",
        """CREATE INDEX ix_user_interaction_events_unprocessed_by_user
           ON user_interaction_events (user_id, timestamp, id) WHERE processed_at IS NULL""",
        """CREATE INDEX ix_user_interaction_events_fragrance_id
           ON user_interaction_events (fragrance_id) WHERE fragrance_id IS NOT NULL""",
    ),
    "fragrance_relationships": (
        """CREATE TABLE fragrance_relationships (
            fragrance_id uuid NOT NULL
                REFERENCES fragrances (id) ON UPDATE CASCADE ON DELETE CASCADE,
            related_id   uuid NOT NULL
                REFERENCES fragrances (id) ON UPDATE CASCADE ON DELETE CASCADE,
            kind         text NOT NULL CHECK (kind <> ''),
            weight       double precision NOT NULL CHECK (weight BETWEEN 0 AND 1),
            confidence   double precision NOT NULL DEFAULT 1 CHECK (confidence BETWEEN 0 AND 1),
            updated_at   timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (fragrance_id, related_id, kind),
            CHECK (fragrance_id <> related_id)
        )""",
        """CREATE INDEX ix_fragrance_relationships_fragrance_id_weight
           ON fragrance_relationships (fragrance_id, weight DESC)""",
        """CREATE INDEX ix_fragrance_relationships_related_id
           ON fragrance_relationships (related_id)""",
    ),
    "algorithm_performance": (
        """CREATE TABLE algorithm_performance (
            context    text NOT NULL,
            algorithm  text NOT NULL,
            alpha      double precision NOT NULL DEFAULT 1
                       CHECK (alpha > 0 AND alpha < 'Infinity'),
            beta       double precision NOT NULL DEFAULT 1 CHECK (beta > 0 AND beta < 'Infinity'),
            updated_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (context, algorithm)
        )""",
    ),
}
ALGORITHMS = (
    "collaborative_filtering",
    "content_based",
    "hybrid_recommendations",
    "trending_algorithm",
)


def upgrade() -> None:
    for name, statements in TABLES.items():
        op.adopt_table(name, *statements)
    for algorithm in ALGORITHMS:
        op.execute(
            "INSERT INTO algorithm_performance (context, algorithm) "
            f"VALUES ('default', '{algorithm}') ON CONFLICT DO NOTHING"
        )


def downgrade() -> None:
    # What nothing has been learnt of is what an upgrade puts there again.
    op.execute(
        "DELETE FROM algorithm_performance WHERE context = 'default' AND alpha = 1 AND beta = 1 "
        f"AND algorithm IN {ALGORITHMS}"
    )
    for name in reversed(TABLES):
        op.release_table(name)
