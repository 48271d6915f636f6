"""A branch of revisions has one head.

Two revisions that follow the same one, as two merged pull requests leave them, have no order:
`alembic upgrade head` refuses to choose, and so does the next deployment. Heads that are meant
carry branch labels, each its own (`branch_labels = ("billing",)`), and are run with
`alembic upgrade heads`; these are not found.
"""

from collections.abc import Iterator

from pgmodern.lint.revision import Project, Revision
from pgmodern.lint.rule import Found, rule

_FIRST = '''
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
'''

_SECOND = '''
"""Songs have a key."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "%s"%s


def upgrade() -> None:
    op.add_column("songs", sa.Column("key", sa.Text))


def downgrade() -> None:
    op.drop_column("songs", "key")
'''

BAD = _FIRST.replace('"0001"\n', '"0001"  # found\n') + _SECOND % ("0001", "  # found")
GOOD = _FIRST + _SECOND % ("0002", "")


def _check(revision: Revision, _project: Project) -> Iterator[Found]:
    if revision.rivals:
        others = ", ".join(revision.rivals)
        yield Found(
            revision.line_of("down_revision"),
            f"Revision {revision.revision} is one head, and there is another: {others}.",
            "Let the one that is not deployed anywhere follow the other: change its down_revision. "
            "If both are, run: alembic merge heads",
        )


RULE = rule("two-heads", "error", __doc__, bad=BAD, good=GOOD, check=_check)
