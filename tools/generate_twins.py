"""Generates synchronous classes from asynchronous ones: `python -m tools.generate_twins`.

Each file of a folder `asynchronous` is a source. What is made of it has the same name, in the
folder `synchronous` beside that one. `--check` writes nothing: it shows what would change.
"""

import argparse
import difflib
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import unasync

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pgmodern"
SOURCE, TWIN = "asynchronous", "synchronous"
_HEADER = "# Generated from ../{source}/{name} by `make twins`: do not edit.\n"
# SQLAlchemy has the twins of these in other modules; only names follow from names.
_IMPORTS = {
    "from sqlalchemy.ext.asyncio import AsyncEngine\n": "from sqlalchemy import Engine\n",
    "from sqlalchemy.ext.asyncio import AsyncSession\n": "from sqlalchemy.orm import Session\n",
}
_ASYNC_NAME = re.compile(r"\bAsync[A-Z]\w*")


def generated(package: Path = PACKAGE) -> dict[Path, str]:
    """Return what each generated file of a package must hold."""
    sources = sorted(package.glob(f"**/{SOURCE}/*.py"))
    with TemporaryDirectory() as folder:
        copies, results = Path(folder, "copies"), Path(folder, "results")
        texts = {source.relative_to(package): source.read_text("utf-8") for source in sources}
        for path, text in texts.items():
            _write(copies / path, _with_imports(text))
        rule = unasync.Rule(f"{copies}/", f"{results}/", _replacements(texts.values()))
        unasync.unasync_files([str(copies / path) for path in texts], [rule])
        if texts:
            _format(results)
        return {
            package / _twin(path): _HEADER.format(source=SOURCE, name=path.name)
            + (results / path).read_text("utf-8")
            for path in texts
        }


def check(package: Path = PACKAGE) -> list[str]:
    """Return a diff, or a sentence, for each file that is not what it must be."""
    expected = generated(package)
    found = []
    for path, text in expected.items():
        name = path.relative_to(package).as_posix()
        there = path.read_text("utf-8") if path.exists() else ""
        if there != text:
            before, after = there.splitlines(keepends=True), text.splitlines(keepends=True)
            diff = difflib.unified_diff(before, after, f"{name} (as it is)", f"{name} (generated)")
            found.append("".join(diff))
    return found + _without_source(package, expected)


def write(package: Path = PACKAGE) -> list[str]:
    """Write the generated files; return a sentence for each file that has no source."""
    expected = generated(package)
    for path, text in expected.items():
        _write(path, text)
    # Whether somebody wrote it is not known here, so it is not deleted.
    return _without_source(package, expected)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; return the exit code, which is 1 where something is left to do."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate_twins", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, show what is wrong")
    parser.add_argument("package", nargs="?", type=Path, default=PACKAGE)
    given = parser.parse_args(arguments)
    wrong = check(given.package) if given.check else write(given.package)
    for each in wrong:
        print(each)
    if wrong and given.check:
        print("Generated files are out of date: run `make twins`.")
    return bool(wrong)


def _with_imports(text: str) -> str:
    for asynchronous, synchronous in _IMPORTS.items():
        text = text.replace(asynchronous, synchronous)
    return text


def _replacements(texts: Iterable[str]) -> dict[str, str]:
    # By itself unasync makes SyncX of AsyncX.
    names = {name for text in texts for name in _ASYNC_NAME.findall(text)}
    return {SOURCE: TWIN} | {name: name.removeprefix("Async") for name in names}


def _twin(path: Path) -> Path:
    return Path(*(TWIN if part == SOURCE else part for part in path.parts))


def _without_source(package: Path, expected: dict[Path, str]) -> list[str]:
    there = (path for path in sorted(package.glob(f"**/{TWIN}/*")) if path.is_file())
    return [
        f"{path.relative_to(package).as_posix()} has no source in {SOURCE}/: delete it."
        for path in there
        if path not in expected
    ]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", newline="\n")


def _format(folder: Path) -> None:
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--quiet", "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(folder)]
    # In the project's folder, to which the configuration's paths are relative.
    subprocess.run([*ruff, "check", "--fix-only", "--select", "I", *options], cwd=ROOT, check=True)
    subprocess.run([*ruff, "format", *options], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
