"""What is a downgrade, and what is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pgmodern.lint import lint

Project = Callable[..., Path]

REVISION = """
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    {upgrade}
{downgrade}
"""
WORK = "op.execute('SELECT 1')"


@pytest.mark.parametrize(
    ("upgrade", "downgrade", "line"),
    [
        (WORK, "", 5),
        (WORK, "def downgrade(): pass", 7),
        (WORK, "def downgrade(): ...", 7),
        (WORK, "def downgrade(): return", 7),
        (WORK, "def downgrade():\n    '''Downgrade schema.'''\n    pass", 7),
        (WORK, "def downgrade(): '''Nothing is left of it.'''", None),
        (WORK, "def downgrade(): raise NotImplementedError('no way back')", None),
        (WORK, f"def downgrade(): {WORK}", None),
        ("pass", "def downgrade(): pass", None),
        ("'''Merge.'''", "", None),
        ("'''Upgrade schema.'''; pass", "def downgrade(): pass", None),
    ],
)
def test_a_downgrade_does_something_or_says_why_not(
    project: Project, upgrade: str, downgrade: str, line: int | None
) -> None:
    ini = project(REVISION.format(upgrade=upgrade, downgrade=downgrade))
    found = lint(ini, "0002", squawk=False)
    assert [(each.rule, each.line) for each in found] == (
        [("missing-downgrade", line)] if line else []
    )
