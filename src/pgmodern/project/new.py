"""A new project: Alembic's own `init` with a template of ours, and the files around it."""

import io
import shutil
from contextlib import redirect_stdout
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


class _Config(Config):
    """Alembic's configuration, but for where `init` finds its templates."""

    def get_template_directory(self) -> str:
        return str(TEMPLATES)


def lay_down(directory: Path) -> list[Path]:
    """Write a new project into a folder, which need not be there; return its files.

    Raises ProjectError, before anything is written, where something is in the way: nothing is
    overwritten.
    """
    try:
        if found := in_the_way(directory):
            names = ", ".join(str(each) for each in found)
            cure = "Name another folder, or move out of the way what is there."
            raise ProjectError(f"Nothing was written, as this is there already: {names}", cure)
        _write(directory)
    except OSError as error:
        cause = f"{error.filename} could not be written: {error.strerror}."
        raise ProjectError(cause, "Name a folder that you may write to.") from error
    return [directory / name for name in _BY_ALEMBIC + _AROUND]


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


def _write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # Of a relative folder alone Alembic writes where it is from alembic.ini, and not from the root.
    ini, scripts = relpath(directory / "alembic.ini"), relpath(directory / _SCRIPTS)
    with redirect_stdout(io.StringIO()):  # of what Alembic does it says more than anybody reads
        command.init(_Config(ini), scripts, template=REVISION.parent.name)
    for name in _AROUND:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TEMPLATES / "around" / name, target)
