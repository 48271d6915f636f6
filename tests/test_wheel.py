"""The wheel in an environment that holds nothing but what it says that it requires."""

import subprocess
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROGRAM = """
import sys, pgmodern
for name in pgmodern.__all__:
    getattr(pgmodern, name)
import pgmodern.environment, pgmodern.repositories, pgmodern.reference.music
print(pgmodern.__file__)
"""


def required(of: Distribution, extras: frozenset[str] = frozenset()) -> Iterator[Distribution]:
    """Yield what a distribution requires, directly and by what that requires."""
    for line in of.requires or ():
        each = Requirement(line)
        if each.marker is None or any(
            each.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            found = distribution(each.name)
            yield found
            yield from required(found, frozenset(each.extras))


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment into which pip has installed the wheel."""
    place = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(place, with_pip=True)
    (libraries,) = (place / "lib").glob("python*/site-packages")
    needed = {canonicalize_name(each.name): each for each in required(distribution("pgmodern"))}
    for each in needed.values():
        for entry in {path.parts[0] for path in each.files or ()} - {"..", "__pycache__"}:
            if not (libraries / entry).exists():
                (libraries / entry).symlink_to(Path(str(each.locate_file(entry))))
    # Without an index it fails where a requirement is not met.
    install = [str(place / "bin" / "pip"), "install", "--no-index", "--quiet", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place / "bin"


def run(*command: str | Path, folder: Path, environ: dict[str, str]) -> str:
    """Return what a command prints; fails when it does."""
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_public_name_can_be_imported(
    binaries: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    place = run(binaries / "python", "-c", PROGRAM, folder=tmp_path, environ=environ)
    assert binaries.parent in Path(place.strip()).parents


def test_its_command_works(binaries: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    command = binaries / "pgmodern"
    version = distribution("pgmodern").version
    shown = run(command, "--version", folder=tmp_path, environ=environ)
    assert shown == f"pgmodern {version}\n"
    run(command, "init", folder=tmp_path, environ=environ)
    run(command, "lint", "base:head", folder=tmp_path, environ=environ)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_completes_its_commands_in_a_shell(
    shell: str, binaries: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    command = binaries / "pgmodern"
    script = run(command, "--show-completion", shell, folder=tmp_path, environ=environ)
    assert "_PGMODERN_COMPLETE" in script
    variables = {
        "_PGMODERN_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "pgmodern do",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "pgmodern do",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "doctor" in run(command, folder=tmp_path, environ=environ | variables)
