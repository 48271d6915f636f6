"""What a terminal shows of a project, beside the diff of its env.py."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

from rich.console import Console

from pgmodern.project.existing import Changes
from pgmodern.project.new import LaidDown

_NEXT = """\
cp .env.example .env && docker compose up -d --wait    # or neither: the embedded server is used
alembic revision --autogenerate -m "add products"
alembic upgrade head
pytest"""


def laid_down(console: Console, directory: Path, project: LaidDown) -> None:
    """Print the files of a new project, and what to do next."""
    for each in project.written:
        _print(console, f"written: {each}")
    for each in project.left_out:
        _print(console, f"left out, as there is something already: {each}")
    enter = f"{shlex.join(['cd', *there])}\n" if (there := _elsewhere(directory)) else ""
    _print(console, f"\nNext:\n{indent(enter + _NEXT, '    ')}")


def found(console: Console, directory: Path, changes: Changes, kept: Path | None) -> None:
    """Print what became of env.py, or how it is changed, and what else is to be done by hand.

    `kept` is where the old env.py is, when the diff was applied.
    """
    for line in _of_env(directory, changes, kept):
        _print(console, line)
    for advice in changes.advice:
        _print(console, f"\n{advice.detail}")
        if advice.lines:
            _print(console, indent(advice.lines, "    "))


def _of_env(directory: Path, changes: Changes, kept: Path | None) -> Iterator[str]:
    if not changes.diff:
        yield f"{changes.env} calls pgmodern's run() already."
    elif kept is not None:
        yield f"written: {changes.env}; the old one is {kept}"
    elif changes.obstacles:
        yield f"Nothing was changed. {changes.env} would become this, but for:"
        yield from (f"    {each}" for each in changes.obstacles)
    else:
        there = _elsewhere(directory)
        here = shlex.join(["pgmodern", "init", *there])
        patch = shlex.join(["patch", "-p0", *(f"--directory={each}" for each in there)])
        yield f"Nothing was changed. {changes.env} becomes this by either of:"
        yield f"    {here} --write    # keeps the old one as env.py.orig"
        yield f"    {here} | {patch}"


def _elsewhere(directory: Path) -> list[str]:
    """Return the folder as a command names it: not at all, where it is the current one."""
    return [] if directory.resolve() == Path.cwd() else [str(directory)]


def _print(console: Console, text: str) -> None:
    # Never broken, however narrow the terminal is: it is to be copied.
    console.print(text, soft_wrap=True, markup=False, highlight=False)
