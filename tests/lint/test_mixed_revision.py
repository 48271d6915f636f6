"""A mixed revision, in either direction; its upgrade is refused, and not judged further."""

from collections.abc import Callable
from pathlib import Path

from pgmodern.lint import lint

Project = Callable[..., Path]

REVISION = """
from alembic import op
revision = "{revision}"
down_revision = "{follows}"
def upgrade():
    {upgrade}
def downgrade():
    {downgrade}
"""
MIXED = "op.drop_index_online('ix'); op.drop_table('songs')"
TRANSACTIONAL = "op.drop_table('songs')"


def test_both_directions_are_judged_and_the_other_revisions_too(project: Project) -> None:
    ini = project(
        REVISION.format(revision="0002", follows="0001", upgrade=MIXED, downgrade=MIXED),
        REVISION.format(revision="0003", follows="0002", upgrade=TRANSACTIONAL, downgrade=MIXED),
    )
    found = [(each.revision, each.line, each.rule) for each in lint(ini, "0001:head")]
    assert found == [
        ("0002", 6, "mixed-revision"),
        ("0002", 8, "mixed-revision"),
        ("0003", 6, "squawk:ban-drop-table"),
        ("0003", 8, "mixed-revision"),
    ]


def test_the_cure_names_the_operations(project: Project) -> None:
    ini = project(REVISION.format(revision="2", follows="0001", upgrade=MIXED, downgrade="pass"))
    found = lint(ini, "2", squawk=False)[0]
    assert "op.drop_index_online" in found.message
    assert "op.drop_table" in found.message
    assert "Split it" in found.cure
