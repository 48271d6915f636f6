"""An Alembic project of a user's own: the application `shop`, and revisions of a test's."""

import ast
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import URL

from pgmodern.lint import RULES
from pgmodern.lint.rule import Rule

ENV = """
from sqlalchemy import MetaData
from pgmodern import environment

environment.run(MetaData())
"""

FIRST = '''
"""Songs."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE songs (id bigint PRIMARY KEY, title text, liked boolean)")


def downgrade() -> None:
    op.execute("DROP TABLE songs")
'''

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Song(Base):
    __tablename__ = "songs"
    id: Mapped[int] = mapped_column(primary_key=True)
    liked: Mapped[bool]
"""

Project = Callable[..., Path]
Upgrade = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Write a project whose first revision makes songs, and these revisions; return its ini."""

    def write(*revisions: str, env: str = ENV, settings: str = "") -> Path:
        versions = tmp_path / "migrations" / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        (versions.parent / "env.py").write_text(env)
        for source in (FIRST, *revisions):
            (versions / f"{_id(source)}.py").write_text(source)
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / "__init__.py").touch()
        (tmp_path / "shop" / "models.py").write_text(MODELS)
        ini = tmp_path / "alembic.ini"
        ini.write_text(f"[alembic]\nscript_location = %(here)s/migrations\n{settings}")
        return ini

    return write


@pytest.fixture
def upgrade(project: Project) -> Upgrade:
    """Write a project whose second revision has this upgrade, and after it these lines."""

    def write(body: str, *, more: str = "", **options: str) -> Path:
        lines = "\n".join(f"    {line}" for line in dedent(body).strip().splitlines())
        return project(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            "revision = '0002'\ndown_revision = '0001'\n"
            f'def upgrade():\n{lines}\ndef downgrade():\n    """Nothing."""\n{dedent(more)}',
            **options,
        )

    return write


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[[URL], None]:
    """Have the settings name a database."""

    def name(url: URL) -> None:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))

    return name


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Rule], None]:
    """Have no other rule judge: it may find more in the same revisions."""
    return lambda rule: monkeypatch.setattr("pgmodern.lint.RULES", (rule,))


@pytest.fixture(autouse=True)
def _rule_of_the_file(request: pytest.FixtureRequest, only: Callable[[Rule], None]) -> None:
    """In the tests of one rule, have only that one judge."""
    name = request.module.__name__.rpartition("test_")[2]
    for rule in RULES:
        if rule.name.replace("-", "_") == name:
            only(rule)


@pytest.fixture(autouse=True)
def _unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a database that cannot be reached: a range needs none."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")


def _id(source: str) -> str:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            name = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(name) == "revision":
                return str(ast.literal_eval(node.value))
    raise AssertionError("a revision has an id")
