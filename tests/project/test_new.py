"""A new project: all of it is there, in order, and works; nothing that was there is touched."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from sqlalchemy import URL

from pgmodern import settings
from pgmodern.errors import ProjectError
from pgmodern.project.new import TEMPLATES, lay_down
from pgmodern.testing import DEFAULT_IMAGE
from tests import commands
from tests.conftest import ROOT, Completed
from tests.project.files import contents
from tests.project.ruff import assert_ruff_accepts

FILES = {
    "alembic.ini",
    "migrations/env.py",
    "migrations/script.py.mako",
    "models.py",
    "docker-compose.yml",
    ".env.example",
    ".github/workflows/migrations.yml",
}
BESIDE = {".gitignore", "requirements.txt", "conftest.py", "tests/test_products.py"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A new project, in a folder with a space."""
    lay_down(tmp_path / "my shop")
    return tmp_path / "my shop"


@pytest.mark.quick
def test_every_file_is_written_and_named(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("app = 1\n")
    (tmp_path / "migrations").mkdir()
    laid_down = lay_down(tmp_path)
    assert set(contents(tmp_path)) == {*FILES, *BESIDE, "app.py"}
    assert {str(each.relative_to(tmp_path)) for each in laid_down.written} == FILES | BESIDE
    assert laid_down.left_out == []
    assert (tmp_path / "migrations" / "versions").is_dir()


@pytest.mark.parametrize("directory", ["shop", "a/b c/shop", "../shop", "."])
def test_alembic_ini_says_where_the_scripts_are_from_itself(
    directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    lay_down(Path(directory))
    assert "script_location = %(here)s/migrations\n" in Path(directory, "alembic.ini").read_text()
    assert Path(directory, "migrations", "env.py").is_file()


def test_env_py_is_three_lines(shop: Path) -> None:
    docstring, *lines = ast.parse((shop / "migrations" / "env.py").read_text()).body
    assert [ast.unparse(each) for each in lines] == [
        "from pgmodern import environment",
        "from models import Base",
        "environment.run(Base.metadata)",
    ]
    assert isinstance(docstring, ast.Expr)


def test_ruff_and_mypy_have_nothing_to_say(shop: Path) -> None:
    assert_ruff_accepts(shop)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null"]
    done = subprocess.run(
        [*mypy, "models.py", "migrations/env.py", "conftest.py", "tests/test_products.py"],
        cwd=shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_server_is_that_of_the_tests_and_for_this_machine_alone(shop: Path) -> None:
    yaml: Any = pytest.importorskip("yaml")
    server = yaml.safe_load((shop / "docker-compose.yml").read_text())["services"]["postgres"]
    assert server["image"] == DEFAULT_IMAGE
    assert all(each.startswith("127.0.0.1:") for each in server["ports"])
    workflow = yaml.safe_load((shop / ".github" / "workflows" / "migrations.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["services"]["postgres"]["image"] == DEFAULT_IMAGE
    assert settings.read(job["env"], shop).url is not None
    assert [each["run"] for each in job["steps"] if "run" in each] == [
        "pip install -r requirements.txt",
        "pgmodern lint base:head --format github",
        "alembic upgrade head",
        "alembic check",
        "pytest",
    ]


def test_what_is_secret_or_made_by_a_run_is_kept_out_of_git(shop: Path) -> None:
    (shop / ".env").write_bytes((shop / ".env.example").read_bytes())
    for name in (".pgmodern/postgres", ".venv/bin", "__pycache__"):
        (shop / name).mkdir(parents=True)
        (shop / name / "file").touch()
    subprocess.run(["git", "init", "-q"], cwd=shop, check=True)
    listing = ["git", "ls-files", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=shop, check=True, capture_output=True, text=True)
    assert set(done.stdout.splitlines()) == FILES | BESIDE


def test_what_it_requires_is_of_this_package(shop: Path) -> None:
    (line,) = (shop / "requirements.txt").read_text().splitlines()
    required = Requirement(line)
    offered = metadata.metadata("pgmodern").get_all("Provides-Extra") or []
    assert required.name == "pgmodern"
    assert required.extras <= set(offered)
    assert required.specifier.contains(metadata.version("pgmodern"))


def test_its_test_passes_before_and_after_the_first_revision(
    shop: Path, empty_database_url: URL, alembic: Callable[..., Completed], environ: dict[str, str]
) -> None:
    def passes() -> bool:
        url = empty_database_url.render_as_string(hide_password=False)
        command = ["-q", f"--postgres={url}", "-p", "no:cacheprovider"]
        done = commands.run(command, module="pytest", cwd=shop, env=environ)
        return done.returncode == 0 or pytest.fail(done.stdout + done.stderr)

    assert passes()
    for command in (["revision", "--autogenerate", "-m", "products"], ["upgrade", "head"]):
        done = alembic(*command, url=empty_database_url, ini=shop / "alembic.ini")
        assert done.returncode == 0, done.stderr
    assert passes()


def test_one_env_file_serves_docker_compose_and_pgmodern(shop: Path) -> None:
    (shop / ".env").write_bytes((shop / ".env.example").read_bytes())
    assert settings.read({}, shop).url == URL.create(
        "postgresql+psycopg", "postgres", "postgres", "localhost", 5432, "postgres"
    )
    wanted = set(re.findall(r"\$\{(\w+)", (shop / "docker-compose.yml").read_text()))
    given = set(re.findall(r"^(\w+)=", (shop / ".env").read_text(), re.MULTILINE))
    assert given == wanted | {"POSTGRES_HOST"}


@pytest.mark.reference
@pytest.mark.parametrize("name", ["", "my shop"])
def test_its_revisions_run_here_and_from_elsewhere(
    name: str, tmp_path: Path, empty_database_url: URL, alembic: Callable[..., Completed]
) -> None:
    project = tmp_path / name
    lay_down(project)

    def succeed(*arguments: str) -> str:
        done = alembic(*arguments, url=empty_database_url, ini=project / "alembic.ini")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert succeed("current") == ""
    succeed("revision", "-m", 'a "first" one')
    succeed("upgrade", "head")
    assert succeed("current").endswith("(head)\n")
    assert 'a "first" one.' in succeed("history")
    succeed("revision", "--autogenerate", "-m", "add products")
    assert_ruff_accepts(project)
    names = {path.name: path for path in (project / "migrations" / "versions").glob("*.py")}
    (first,) = (name for name in names if "a_first_one" in name)
    assert re.fullmatch(r"\d{14}_[0-9a-f]{12}_a_first_one\.py", first)
    assert any("products" in path.read_text() for name, path in names.items() if name != first)


IN_THE_WAY = [*sorted(FILES), "migrations/versions/0001.py", "migrations/README"]


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_nothing_is_written_where_a_file_is_there(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    with pytest.raises(ProjectError, match="there already") as raised:
        lay_down(tmp_path)
    assert str(tmp_path / Path(name).parts[0]) in str(raised.value)
    assert contents(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        ([".gitignore"], {".gitignore"}),
        (["requirements.txt"], {"requirements.txt"}),
        (["conftest.py"], {"conftest.py", "tests/test_products.py"}),
        (["tests/test_products.py", ".gitignore"], BESIDE - {"requirements.txt"}),
        (["tests"], {"conftest.py", "tests/test_products.py"}),
        (sorted(BESIDE), BESIDE),
    ],
)
def test_what_others_have_too_is_kept_as_it_is(
    names: list[str], left_out: set[str], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    laid_down = lay_down(tmp_path)
    assert {str(each.relative_to(tmp_path)) for each in laid_down.left_out} == left_out
    there = contents(tmp_path)
    assert {name: there[name] for name in names} == dict.fromkeys(names, b"mine")
    assert set(there) == {*FILES, *BESIDE - left_out, *names}


@pytest.mark.parametrize("name", ["shop", "shop/.github", "shop/.github/workflows"])
def test_nothing_is_written_where_a_folder_should_be(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ProjectError, match=re.escape(str(tmp_path / name))):
        lay_down(tmp_path / "shop")
    assert contents(tmp_path) == {name: b"mine"}


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "models.py").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ProjectError, match=r"models\.py"):
        lay_down(tmp_path)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.quick
def test_what_the_system_refuses_is_one_message(tmp_path: Path) -> None:
    for directory in (Path("/proc/shop"), tmp_path / ("long" * 100)):
        with pytest.raises(ProjectError, match="could not be written"):
            lay_down(directory)


def test_the_wheel_holds_the_templates(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    folder = TEMPLATES.relative_to(ROOT / "src")
    assert {f"{folder}/{name}" for name in contents(TEMPLATES)} <= names
