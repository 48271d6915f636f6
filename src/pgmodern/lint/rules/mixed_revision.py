"""A revision is either transactional or online.

What ends in `_online` commits as it goes, everything else needs its transaction. Killed between
the two, a mixed revision is half applied and not stamped, and cannot be run again: `alembic
upgrade` refuses it. In a branch it is better refused than in a deployment.
"""

from collections.abc import Iterator

from pgmodern.errors import MigrationError
from pgmodern.lint.revision import Project, Revision
from pgmodern.lint.rule import Found, rule
from pgmodern.revisions import Direction, Reading, kind, read

_BOTH: tuple[Direction, ...] = ("upgrade", "downgrade")

BAD = '''
"""Songs have a tempo."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("songs", sa.Column("tempo", sa.Float))
    op.create_index_online("ix_songs_tempo", "songs", ["tempo"])  # found


def downgrade() -> None:
    op.drop_column("songs", "tempo")
'''

GOOD = '''
"""Songs have a tempo."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("songs", sa.Column("tempo", sa.Float))


def downgrade() -> None:
    op.drop_column("songs", "tempo")

---
"""Songs are found by their tempo."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index_online("ix_songs_tempo", "songs", ["tempo"])


def downgrade() -> None:
    op.drop_index_online("ix_songs_tempo")
'''


def is_mixed(revision: Revision) -> bool:
    """Tell whether the upgrade of a revision is refused, and so writes no script."""
    return _refused(revision, "upgrade") is not None


def _check(revision: Revision, _project: Project) -> Iterator[Found]:
    for direction in _BOTH:
        if refused := _refused(revision, direction):
            reading, error = refused
            yield Found(_second(reading), error.cause, error.cure)


def _refused(revision: Revision, direction: Direction) -> tuple[Reading, MigrationError] | None:
    reading = read(revision.source, direction)
    try:
        kind(reading, f"{revision.revision}: {direction}()")
    except MigrationError as error:
        return reading, error
    return None


def _second(reading: Reading) -> int:
    """Return the line of the first call that is not of the kind of those before it."""
    first = reading.calls[0]
    return next(call.line for call in reading.calls if call.online != first.online)


RULE = rule("mixed-revision", "error", __doc__, bad=BAD, good=GOOD, check=_check)
