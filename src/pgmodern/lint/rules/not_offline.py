"""A revision can be written as SQL.

`alembic upgrade --sql` is how a change is read before it is made, by people and by these rules.
A revision that asks the database what to do cannot be written, and nothing is known of its SQL:
neither squawk nor `index-not-online` have seen it.
"""

from collections.abc import Iterator

from pgmodern.lint.revision import Project, Revision
from pgmodern.lint.rule import Found, rule

BAD = '''
"""Song titles have no spaces around them."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:  # found
    songs = op.get_bind().exec_driver_sql("SELECT id, title FROM songs")
    for key, title in songs:
        op.execute(f"UPDATE songs SET title = '{title.strip()}' WHERE id = {key}")


def downgrade() -> None:
    """Leave the titles: the application reads both, and nobody misses the spaces."""
'''

GOOD = '''
"""Song titles have no spaces around them, in batches."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.backfill_online(
        "songs.title",
        table="songs",
        statement="UPDATE songs SET title = trim(title) WHERE {range}",
    )


def downgrade() -> None:
    """Leave the titles: the application reads both, and nobody misses the spaces."""
'''


def _check(revision: Revision, _project: Project) -> Iterator[Found]:
    if revision.unwritten is not None:
        yield Found(
            revision.line_of("upgrade"),
            f"It cannot be written as SQL, and its SQL was not judged: {revision.unwritten}",
            "Let SQL do what Python does: op.backfill_online for rows, op.execute for the rest.",
        )


RULE = rule("not-offline", "warning", __doc__, bad=BAD, good=GOOD, check=_check)
