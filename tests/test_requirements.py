"""A package that is missing, or does not load, is one message and no traceback."""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pgmodern.errors import PackageUnavailable
from pgmodern.project.new import lay_down
from pgmodern.requirements import NAMES, explained
from tests.conftest import ROOT

# Runs `python -m argv[2]` where the packages of argv[1] are not installed.
WITHOUT = """
import runpy, sys
_, missing, *sys.argv = sys.argv

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing.split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
# The same, where psycopg finds no libpq.
WITHOUT_LIBPQ = """
import ctypes.util, runpy, sys
_, _, *sys.argv = sys.argv
ctypes.util.find_library = lambda name: None
sys.modules["psycopg_c"] = sys.modules["psycopg_binary"] = None
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A new project."""
    lay_down(tmp_path / "shop")
    return tmp_path / "shop"


def run(program: str, missing: str, command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Return the exit code of a command and what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program, missing, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_names_are_those_of_the_packages_that_are_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {canonicalize_name(Requirement(each).name) for each in project["dependencies"]}
    offered = {
        name
        for name, distributions in packages_distributions().items()
        if required & {canonicalize_name(each) for each in distributions}
    }
    assert offered >= NAMES
    assert len(NAMES) == len(required)


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("psycopg,asyncpg", ["pgmodern", "check"]),
        ("psycopg,asyncpg", ["alembic", "current"]),
        ("numpy", ["pgmodern", "lint", "base:head"]),
        ("numpy", ["alembic", "upgrade", "head"]),
        ("pgvector", ["pgmodern", "init", "other"]),
    ],
)
def test_a_command_names_what_is_missing_and_how_to_install_it(
    missing: str, command: list[str], shop: Path
) -> None:
    name, *_ = missing.split(",")
    code, said = run(WITHOUT, missing, command, shop)
    assert (code, said.count("\n")) == (1, 2), said
    assert said.startswith(f"error: pgmodern needs the package {name}, which is not installed.\n")
    assert "pip install pgmodern" in said


@pytest.mark.parametrize("command", [["pgmodern", "check"], ["alembic", "current"]])
def test_a_driver_without_libpq_is_said_not_to_load(command: list[str], shop: Path) -> None:
    code, said = run(WITHOUT_LIBPQ, "", command, shop)
    assert code == 1
    assert said.startswith("error: pgmodern needs the package psycopg, which does not load: ")
    assert "pip install pgmodern" in said
    assert "Traceback" not in said


def test_help_needs_neither_driver_nor_numpy(tmp_path: Path) -> None:
    assert run(WITHOUT, "psycopg,numpy,pgvector", ["pgmodern", "--help"], tmp_path) == (0, "")


@pytest.mark.quick
@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'models'", name="models"),
        ModuleNotFoundError("No module named 'pgmodern.nothing'", name="pgmodern.nothing"),
        ModuleNotFoundError("No module named 'numpyro'", name="numpyro"),
        ImportError("cannot import name 'Model' from 'models'", name="models"),
        ImportError("of nobody"),
    ],
)
def test_what_others_import_is_theirs_to_explain(error: ImportError) -> None:
    assert explained(error) is None


def test_a_program_gets_an_error_of_ours_which_is_an_import_error(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "try:\n    from pgmodern import Vector\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(
        f"{PackageUnavailable.__name__} pgmodern needs the package numpy, which is not installed.\n"
    )
