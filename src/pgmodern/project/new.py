"""A new project: Alembic's own `init` with a template of ours, and the files around it."""

import io
import shutil
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from os.path import lexists, relpath
from pathlib import Path

from alembic import command
from alembic.config import Config

from pgmodern.errors import ProjectError

TEMPLATES = Path(__file__).with_name("templates")
REVISION = TEMPLATES / "scripts" / "script.py.mako"
_SCRIPTS = "migrations"  # not `alembic`: linters take a folder of that name for the library
_BY_ALEMBIC = ("alembic.ini", f"{_SCRIPTS}/env.py", f"{_SCRIPTS}/{REVISION.name}")
_AROUND = (
    "models.py",
    "docker-compose.yml",
    ".env.example",
    ".github/workflows/migrations.yml",
)
# What many a folder has already, and a project can do without: of these, what belongs together is
# laid down where none of it is there.
_BESIDE = (
    (".gitignore",),
    ("requirements.txt",),
    ("conftest.py", "tests/test_products.py"),
)


class _Config(Config):
    """Alembic's configuration, but for where `init` finds its templates."""

    def get_template_directory(self) -> str:
        return str(TEMPLATES)


@dataclass(frozen=True, slots=True)
class LaidDown:
    """The files of a new project, and those that it was not given, as there are others already."""

    written: list[Path]
    left_out: list[Path]


def lay_down(directory: Path) -> LaidDown:
    """Write a new project into a folder, which need not be there; nothing is overwritten.

    A .gitignore, requirements and tests that are there already stay as they are. Raises
    ProjectError, before anything is written, where something else is in the way.
    """
    try:
        if found := in_the_way(directory):
            names = ", ".join(str(each) for each in found)
            cure = "Name another folder, or move out of the way what is there."
            raise ProjectError(f"Nothing was written, as this is there already: {names}", cure)
        beside = [name for group in _BESIDE if _is_free(directory, group) for name in group]
        _write(directory, [*_AROUND, *beside])
    except OSError as error:
        cause = f"{error.filename} could not be written: {error.strerror}."
        raise ProjectError(cause, "Name a folder that you may write to.") from error
    left_out = [name for group in _BESIDE for name in group if name not in beside]
    return LaidDown(
        [directory / name for name in (*_BY_ALEMBIC, *_AROUND, *beside)],
        [directory / name for name in left_out],
    )


def _is_free(directory: Path, names: Iterable[str]) -> bool:
    """Tell whether none of the files is there, nor anything where their folders would be."""
    files = [directory / name for name in names]
    folders = [folder for file in files for folder in file.parents]
    return not any(lexists(file) for file in files) and all(
        folder.is_dir() for folder in folders if lexists(folder)
    )


def in_the_way(directory: Path) -> list[Path]:
    """Return what is where a file or a folder of a new project would be."""
    files = [directory / name for name in _BY_ALEMBIC + _AROUND]
    folders = {folder for file in files for folder in file.parents}
    found = {file for file in files if lexists(file)}
    found |= {folder for folder in folders if lexists(folder) and not folder.is_dir()}
    scripts = directory / _SCRIPTS
    if scripts.is_dir():  # Alembic wants it empty
        found |= set(scripts.iterdir())
    return sorted(found)


def _write(directory: Path, around: Iterable[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # Of a relative folder alone Alembic writes where it is from alembic.ini, and not from the root.
    ini, scripts = relpath(directory / "alembic.ini"), relpath(directory / _SCRIPTS)
    with redirect_stdout(io.StringIO()):  # of what Alembic does it says more than anybody reads
        command.init(_Config(ini), scripts, template=REVISION.parent.name)
    for name in around:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TEMPLATES / "around" / name, target)
