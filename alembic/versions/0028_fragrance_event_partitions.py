"""Fragrances: what users do, in a partition for each month."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Where nobody runs op.add_partitions, events can be recorded for a year.
    op.partition_table_online("user_interaction_events", "timestamp", interval="1 month", ahead=12)


def downgrade() -> None:
    # With events of later months it stays as it is, as a table that holds rows is kept.
    op.unpartition_table_online("user_interaction_events", if_possible=True)
