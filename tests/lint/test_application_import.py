"""What a revision may import, found without importing it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pgmodern.lint import lint

Project = Callable[..., Path]

REVISION = """
revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass


def unused() -> None:
    {statement}
"""


def imported(ini: Path) -> list[tuple[int, str]]:
    found = lint(ini, "0002", squawk=False)
    assert {each.rule for each in found} <= {"application-import"}
    return [(each.line, each.message.split()[2].rstrip(",")) for each in found]


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import shop", "shop"),
        ("import shop.models as models", "shop.models"),
        ("from shop import models", "shop"),
        ("import json, shop.models", "shop.models"),
        ("from ..models import Song", "..models"),
        ("from . import models", "."),
        ("import settings", "settings"),
        ("import plain.below", "plain.below"),
        ("from inner.models import Song", "inner.models"),
        ("from pgmodern.reference import music", "pgmodern.reference"),
        ("import pgmodern.reference.music", "pgmodern.reference.music"),
    ],
)
def test_what_is_the_application_s_is_found(
    project: Project, tmp_path: Path, statement: str, module: str
) -> None:
    ini = project(REVISION.format(statement=statement))
    (tmp_path / "settings.py").touch()
    (tmp_path / "plain" / "below").mkdir(parents=True)
    (tmp_path / "src" / "inner").mkdir(parents=True)
    (tmp_path / "src" / "inner" / "__init__.py").touch()
    assert imported(ini) == [(11, module)]
    assert not {"shop", "settings", "plain", "inner"} & sys.modules.keys()


@pytest.mark.quick
@pytest.mark.parametrize(
    "statement",
    [
        "import json, sqlalchemy, numpy",
        "from alembic import op",
        "from pgvector.sqlalchemy import HALFVEC",
        "from pgmodern import HnswIndex",
        "import pgmodern.reference_of_mine",
        "from migrations.versions.types import Mood",
        "import migrations.types",
        "import nowhere",
        "import installed",
    ],
)
def test_what_is_not_is_not(project: Project, tmp_path: Path, statement: str) -> None:
    ini = project(REVISION.format(statement=statement))
    packages = tmp_path / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "installed.py").touch()
    sys.path.append(str(packages))
    try:
        assert imported(ini) == []
    finally:
        sys.path.remove(str(packages))


def test_a_package_of_the_application_may_hold_its_revisions(
    project: Project, tmp_path: Path
) -> None:
    project(REVISION.format(statement="from shop.migrations.types import Mood"))
    (tmp_path / "migrations").rename(tmp_path / "shop" / "migrations")
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/shop/migrations\n")
    assert imported(ini) == []
