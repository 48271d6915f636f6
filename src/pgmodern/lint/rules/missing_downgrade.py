"""An upgrade that changes something has a downgrade.

The way back is needed when something has gone wrong, which is no time to write it. A template's
`pass` stamps the old revision and leaves the new schema: the next upgrade fails on what is there
already. Where there is no way back, or nothing to take back, the downgrade says so: it raises, or
its docstring tells why it does nothing.
"""

import ast
from collections.abc import Iterator

from pgmodern.lint.revision import Project, Revision
from pgmodern.lint.rule import Found, rule

BAD = '''
"""Songs have a tempo."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("songs", sa.Column("tempo", sa.Float))


def downgrade() -> None:  # found
    pass
'''

GOOD = '''
"""Song titles have no spaces around them."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("UPDATE songs SET title = trim(title) WHERE title <> trim(title)")


def downgrade() -> None:
    """Leave the titles: the application reads both, and nobody misses the spaces."""
'''


def _check(revision: Revision, _project: Project) -> Iterator[Found]:
    upgrade, downgrade = revision.function("upgrade"), revision.function("downgrade")
    if upgrade is None or _does_nothing(upgrade) or _says_why(upgrade):
        return
    if downgrade is None or _does_nothing(downgrade):
        yield Found(
            revision.line_of("upgrade" if downgrade is None else "downgrade"),
            "There is an upgrade, but no downgrade.",
            "Write it. If there is no way back, raise an error in it that says so; if there is "
            "nothing to take back, let its docstring alone say why.",
        )


def _does_nothing(function: ast.FunctionDef) -> bool:
    """Tell whether a body does nothing, and it is not said why: `pass`, `...`, `return`."""
    return not _says_why(function) and all(_is_nothing(each) for each in function.body)


def _says_why(function: ast.FunctionDef) -> bool:
    return len(function.body) == 1 and ast.get_docstring(function) is not None


def _is_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return):
        return node.value is None or isinstance(node.value, ast.Constant)
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass) or is_constant


RULE = rule("missing-downgrade", "warning", __doc__, bad=BAD, good=GOOD, check=_check)
