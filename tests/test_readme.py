"""What the README says about a project of one's own, done from an empty directory."""

import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from tests.kills import libpq

ROOT = Path(__file__).parents[1]
Connect = Callable[[URL], psycopg.Connection]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each block under the heading."""
    _, _, after = (ROOT / "README.md").read_text().partition("\n## In your own project\n")
    section, _, _ = after.partition("\n## ")
    yield from BLOCK.findall(section)


class Shell:
    """Runs the commands of a reader, each in the folder that the one before has left."""

    def __init__(self, folder: Path, binaries: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.environ = environ | {"PATH": f"{binaries}:{environ['PATH']}"}

    def __call__(self, command: str) -> str:
        """Run one line, and return what it printed; fails when it does."""
        done = subprocess.run(
            ["bash", "-euc", f"{command}\npwd >&2"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        self.folder = Path(done.stderr.rstrip().splitlines()[-1])
        return done.stdout


@pytest.fixture
def shell(
    tmp_path: Path,
    environ: dict[str, str],
    empty_database_url: URL,
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Path,
) -> Shell:
    """A shell in an empty folder, in which pgmodern can be installed from a wheel."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "venv", with_pip=True)
    (libraries,) = (place / "venv" / "lib").glob("python*/site-packages")
    # What it depends on is here; only pgmodern is to be installed.
    (libraries / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    binaries = place / "venv" / "bin"
    for module in ("alembic", "pytest"):
        (binaries / module).write_text(f'#!/bin/sh\nexec python -m {module} "$@"\n')
        (binaries / module).chmod(0o755)
    (binaries / "squawk").symlink_to(Path(sys.executable).with_name("squawk"))
    environ = environ | {
        "DATABASE_URL": libpq(empty_database_url),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_FIND_LINKS": str(wheel.parent),
        "PIP_IGNORE_INSTALLED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    environ.pop("PYTHONPATH", None)
    return Shell(tmp_path, binaries, environ)


@pytest.mark.reference
def test_the_example(shell: Shell, empty_database_url: URL, connect: Connect) -> None:
    database = connect(empty_database_url)
    install, model, create, search, change, replace, revision = blocks()
    assert [language for language, _ in (model, search, change, revision)] == ["python"] * 4
    for line in commands(install):
        shell(line)
    models = shell.folder / "models.py"
    assert model[1] in models.read_text(), "the model that is laid down is another"
    for line in commands(create):
        shell(line)

    (shell.folder / "ask.py").write_text(search[1])
    found = shell("python ask.py")
    assert "ProductHit(id=7, name='Headphones', score=0.5" in found
    assert "<b>Headphones</b>" in found

    was = next(line for line in models.read_text().splitlines(True) if "HnswIndex(" in line)
    models.write_text(models.read_text().replace(was, change[1]))
    for line in commands(replace)[:-1]:
        shell(line)
    *_, last = sorted((shell.folder / "migrations" / "versions").glob("*.py"))
    assert revision[1] in last.read_text(), last.read_text()
    assert "m='32'" in definition(database)
    shell(commands(replace)[-1])
    assert "m='16'" in definition(database)


def commands(block: tuple[str, str]) -> list[str]:
    """Return the lines of a block of commands."""
    language, text = block
    assert language == ""
    return text.splitlines()


def definition(database: psycopg.Connection) -> str:
    """Return how the database has the index."""
    query = "SELECT pg_get_indexdef('ix_products_embedding'::regclass)"
    return str(database.execute(query.encode()).fetchone())
