"""Which objects the migrations created and which they found: only the first are theirs to drop.

The record is a small table, like Alembic's own. All of it is SQL that decides in the database, so
that an offline script does the same.
"""

from typing import Literal

from alembic.operations import Operations

from pgmodern.operations.literal import execute
from pgmodern.quoting import string

RECORD = "pgmodern_created"

Kind = Literal["extension", "table"]


def remember(operations: Operations, kind: Kind, name: str, absent: str) -> None:
    """Record, just before an object is created, that it is not there (the condition `absent`)."""
    execute(
        operations,
        f"CREATE TABLE IF NOT EXISTS {RECORD} (kind text, name text, PRIMARY KEY (kind, name))",
    )
    execute(
        operations,
        f"INSERT INTO {RECORD} (kind, name) SELECT '{kind}', {string(name)} WHERE {absent} "
        "ON CONFLICT DO NOTHING",
    )


def drop_if_ours(operations: Operations, kind: Kind, name: str, drop: str) -> None:
    """Run plpgsql that drops an object, if it is recorded; `kept := true` says it had to stay."""
    recorded = f"{RECORD} AS r WHERE r.kind = '{kind}' AND r.name = {string(name)}"
    execute(
        operations,
        f"""DO $ours$
DECLARE
    ours boolean := false;
    kept boolean := false;
BEGIN
    IF to_regclass('{RECORD}') IS NOT NULL THEN
        SELECT EXISTS (SELECT FROM {recorded}) INTO ours;
    END IF;
    IF ours THEN
        {drop}
    END IF;
    IF ours AND NOT kept THEN
        DELETE FROM {recorded};
    END IF;
    IF to_regclass('{RECORD}') IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM {RECORD}) THEN
            DROP TABLE {RECORD};
        END IF;
    END IF;
END
$ours$""",
    )
