"""Fragrances: the tables that the application runs on today, if they are not there."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = {
    "users": """CREATE TABLE users (
            id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            email      text NOT NULL UNIQUE,
            created_at timestamptz NOT NULL DEFAULT now()
        )""",
    "fragrances": """CREATE TABLE fragrances (
            id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            name         text NOT NULL,
            brand        text NOT NULL,
            description  text,
            accords      jsonb NOT NULL DEFAULT '[]',
            rating_value double precision,
            rating_count integer NOT NULL DEFAULT 0,
            embedding    vector(2048),
            created_at   timestamptz NOT NULL DEFAULT now()
        )""",
}


def upgrade() -> None:
    for name, statement in TABLES.items():
        op.adopt_table(name, statement)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.release_table(name)
