"""A revision imports nothing of the application.

Models move on, history must not: a revision that imports `Song` creates today's table, not that
of its day, and fails on the day that `Song` is renamed, in every database that is migrated from
nothing, such as that of the tests. What it needs of a table it says itself.

Found is each import of a module whose file is in the project's folder (or of a namespace package
there), but not beside the revisions; nothing is imported to see that. `pgmodern.reference` is
an application too.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from pgmodern.lint.revision import Project, Revision
from pgmodern.lint.rule import Found, rule

BAD = '''
"""Songs are marked as liked."""

from alembic import op
from shop.models import Song  # found

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(Song.__table__.update().values(liked=True))


def downgrade() -> None:
    raise NotImplementedError("which songs were liked before is not known")
'''

GOOD = '''
"""Songs are marked as liked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

songs = sa.table("songs", sa.column("liked", sa.Boolean))


def upgrade() -> None:
    op.execute(songs.update().values(liked=True))


def downgrade() -> None:
    raise NotImplementedError("which songs were liked before is not known")
'''

_REFERENCE = "pgmodern.reference"


def _check(revision: Revision, project: Project) -> Iterator[Found]:
    for node in ast.walk(revision.tree):
        for module in _imported(node):
            if _is_application_s(module, project):
                yield Found(
                    node.lineno,  # type: ignore[attr-defined]  # only statements import
                    f"It imports {module}, which is the application's and will change.",
                    "Write into the revision what it needs of it: a table is sa.table(), a value "
                    "its literal.",
                )


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules that a statement imports; one that is relative begins with a dot."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield "." * node.level + (node.module or "")


def _is_application_s(module: str, project: Project) -> bool:
    top, *rest = module.split(".")
    if top == "pgmodern":  # a toolkit, also where it is developed
        return f"{module}.".startswith(f"{_REFERENCE}.")
    if not top:
        return True  # a revision is in no package: what is relative is another's
    if top in sys.stdlib_module_names:
        return False
    places = (Path(found, *rest).resolve() for found in _found(top, project.search_path))
    return any(_is_in(place, project) for place in places)


def _is_in(place: Path, project: Project) -> bool:
    return (
        place.is_relative_to(project.root)
        and "site-packages" not in place.parts  # a virtual environment in the project's folder
        and not any(place.is_relative_to(versions) for versions in project.versions)
    )


@cache
def _found(top: str, search_path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the file or the folders of a module without importing it."""
    spec = PathFinder.find_spec(top, search_path)
    if spec is None:
        return ()
    return tuple(spec.submodule_search_locations or [spec.origin or ""])


RULE = rule("application-import", "warning", __doc__, bad=BAD, good=GOOD, check=_check)
