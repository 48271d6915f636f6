"""What is said of Alembic projects of every kind is right; nothing changes unless asked for."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL

from pgmodern.errors import ProjectError
from pgmodern.project.existing import Changes, apply, changes, unified_diff
from pgmodern.project.new import lay_down
from tests import commands
from tests.project.files import contents

MODELS = """
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass
"""
METADATA = "from models import Base\n\ntarget_metadata = Base.metadata\n"
NEW = """\
from pgmodern import environment

from models import Base

environment.run(Base.metadata)
"""


def initialised(directory: Path, template: str) -> Path:
    """Have Alembic lay down a project from a template of its own; return its env.py."""
    directory.mkdir(exist_ok=True)
    toml = directory / "pyproject.toml" if template == "pyproject" else None
    config = Config(directory / "alembic.ini", toml, stdout=io.StringIO())
    command.init(config, str(directory / "the scripts"), template)
    return directory / "the scripts" / "env.py"


@pytest.fixture(params=["generic", "async", "pyproject"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project from each of Alembic's templates for one database, with models."""
    env = initialised(tmp_path / "my shop", request.param)
    env.write_text(env.read_text().replace("target_metadata = None\n", METADATA))
    (tmp_path / "my shop" / "models.py").write_text(MODELS)
    return tmp_path / "my shop"


def found(directory: Path) -> Changes:
    """Return what would change in a project, once it is seen that nothing has."""
    before = contents(directory)
    there = changes(directory)
    assert there is not None
    assert contents(directory) == before
    return there


@pytest.mark.parametrize("tool", [["patch", "-p0", "-s"], ["git", "apply", "-p0"]])
def test_the_diff_makes_env_py_three_lines(shop: Path, tool: list[str]) -> None:
    there = found(shop)
    assert (there.source, there.obstacles) == (NEW, ())
    subprocess.run(tool, input=there.diff.encode(), cwd=shop, check=True)
    assert there.env.read_text() == NEW
    again = found(shop)
    assert (again.diff, again.obstacles) == ("", ())


Run = Callable[..., None]


@pytest.fixture
def succeed(environ: dict[str, str], empty_database_url: URL) -> Run:
    """Run `alembic` in a project, on an empty database, by the URL of an asynchronous one."""
    url = empty_database_url.set(drivername="postgresql+asyncpg")

    def run(directory: Path, *arguments: str) -> None:
        env = environ | {"DATABASE_URL": url.render_as_string(hide_password=False)}
        done = commands.run(arguments, module="alembic", cwd=directory, env=env)
        assert done.returncode == 0, done.stderr

    return run


def test_what_is_applied_is_what_was_printed_and_works(shop: Path, succeed: Run) -> None:
    there = found(shop)
    before = contents(shop)
    kept = apply(there)
    after = contents(shop)
    name = str(there.env.relative_to(shop))
    assert after.pop(f"{name}.orig") == before[name] == kept.read_bytes()
    assert after == before | {name: NEW.encode()}
    succeed(shop, "revision", "-m", "first")
    succeed(shop, "upgrade", "head")
    succeed(shop, "check")
    succeed(shop, "downgrade", "base")


def test_it_says_what_else_to_change(shop: Path) -> None:
    database, url, logger, template = found(shop).advice
    assert "what DATABASE_URL names" in database.detail
    lines = (shop / "alembic.ini").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.startswith("sqlalchemy.url"))
    assert url.detail.startswith(f"{shop / 'alembic.ini'}, line {number}: remove sqlalchemy.url")
    assert "keys = root, sqlalchemy, alembic, pgmodern\n" in logger.lines
    subprocess.run(template.lines, shell=True, check=True)
    ini = shop / "alembic.ini"
    ini.write_text(
        "\n".join(line for line in lines if not line.startswith(("sqlalchemy.url", "keys = root")))
        .replace("[loggers]\n", "")
        .replace("[handlers]", f"{logger.lines}\n\n[handlers]")
    )
    assert found(shop).advice == (database,)


def test_a_url_s_password_is_not_shown(tmp_path: Path) -> None:
    env = initialised(tmp_path, "generic")
    ini = tmp_path / "alembic.ini"
    ini.write_text(ini.read_text().replace("driver://user:pass", "postgresql://user:s3%cret"))
    there = found(tmp_path)
    assert there.env == env
    assert "sqlalchemy.url" in there.advice[1].detail
    assert "s3%cret" not in repr(there)


@pytest.mark.quick
def test_without_metadata_env_py_is_not_changed(tmp_path: Path) -> None:
    initialised(tmp_path, "generic")
    there = found(tmp_path)
    assert "set target_metadata" in there.obstacles[0]
    before = contents(tmp_path)
    with pytest.raises(ProjectError, match="set target_metadata"):
        apply(there)
    assert contents(tmp_path) == before


@pytest.mark.quick
def test_an_old_env_py_is_not_overwritten(shop: Path) -> None:
    there = found(shop)
    there.env.with_name("env.py.orig").write_text("older")
    before = contents(shop)
    with pytest.raises(ProjectError, match=r"env\.py\.orig is there"):
        apply(there)
    assert contents(shop) == before


@pytest.mark.quick
def test_several_databases_are_not_for_run(tmp_path: Path) -> None:
    env = initialised(tmp_path, "multidb")
    with pytest.raises(ProjectError, match="migrates several databases"):
        changes(tmp_path)
    env.write_text("target_metadata = metadata\n")
    with pytest.raises(ProjectError, match="migrates several databases"):
        changes(tmp_path)


def test_a_project_that_was_laid_down_is_as_it_should_be(tmp_path: Path) -> None:
    lay_down(tmp_path)
    there = found(tmp_path)
    assert (there.diff, there.obstacles, there.advice) == ("", (), ())


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.alembic]\nscript_location = '%(here)s/app/db/migrations'\n"),
        ("pyproject.toml", "[tool.alembic]\nscript_location = 'app/db/migrations'\n"),
        ("alembic.ini", "[alembic]\nscript_location = app.db:migrations\n"),
        ("alembic.ini", "[alembic]\nscript_location = app/db/migrations\n"),
        ("alembic.ini", "[alembic]\nscript_location = {}/app/db/migrations\n"),
    ],
)
def test_env_py_is_found_however_it_is_named(name: str, text: str, tmp_path: Path) -> None:
    scripts = tmp_path / "app" / "db" / "migrations"
    scripts.mkdir(parents=True)
    (scripts / "env.py").write_text(METADATA)
    (tmp_path / name).write_text(text.format(tmp_path))
    there = found(tmp_path)
    assert there.env == scripts / "env.py"
    assert there.diff.startswith("--- app/db/migrations/env.py\t\n")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("alembic.ini", "", "no script_location"),
        ("alembic.ini", "script_location = x\n", "cannot be read"),
        ("alembic.ini", "[alembic]\nscript_location = %(there)s/x\n", "cannot be read"),
        ("alembic.ini", "[alembic]\nscript_location = nowhere\n", "nowhere/env.py"),
        ("alembic.ini", "[alembic]\nscript_location = .\n", "cannot be read"),
        ("pyproject.toml", "[tool.alembic]\nfile_template = 'x'\n", "no script_location"),
        ("pyproject.toml", "[tool\n", "cannot be read"),
    ],
)
def test_a_project_that_is_broken_is_one_message(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "env.py").write_text("def\n")
    with pytest.raises(ProjectError, match=problem):
        changes(tmp_path)


@pytest.mark.parametrize("text", ["", "[project]\nname = 'shop'\n"])
def test_a_pyproject_toml_alone_is_no_alembic_project(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert changes(tmp_path) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\r\nb\r\nc\r\n", "a\r\nd\r\n"),
        ("a\nb", "a\nc\n"),
        ("a\n\x0cb\u2028c\nd\n", "e\nd\n"),
        ("a", "b"),
    ],
)
def test_a_diff_is_taken_whatever_ends_the_lines(before: str, after: str, tmp_path: Path) -> None:
    diff = unified_diff(before, after, "the env.py").encode()
    for tool in (["patch", "-p0", "-s"], ["git", "apply", "-p0"]):
        (tmp_path / "the env.py").write_bytes(before.encode())
        subprocess.run(tool, input=diff, cwd=tmp_path, check=True)
        assert (tmp_path / "the env.py").read_bytes() == after.encode()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("alembic.ini", "[alembic]\nscript_location = migrations\nprepend_sys_path = .\n"),
        (
            "pyproject.toml",
            "[tool.alembic]\nscript_location = 'migrations'\nprepend_sys_path = ['.']\n",
        ),
    ],
)
def test_run_does_without_logging(name: str, text: str, tmp_path: Path, succeed: Run) -> None:
    lay_down(tmp_path)
    (tmp_path / "alembic.ini").unlink()
    (tmp_path / name).write_text(text)
    succeed(tmp_path, "current")
