"""What a terminal, a program and a pull request are shown of findings."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pgmodern.lint.finding import Finding

_COLOURS = {"warning": "yellow", "error": "red"}


def write(console: Console, found: Sequence[Finding]) -> None:
    """Print findings, each with the statement that it is of and its cure."""
    if not found:
        console.print("Nothing found.")
        return
    for each in found:
        for line in _lines(each):
            # Never broken, however narrow the terminal is: paths and cures are to be copied.
            console.print(line, soft_wrap=True, highlight=False)


def _lines(finding: Finding) -> Iterator[str]:
    colour = _COLOURS[finding.severity]
    place = escape(f"{_shown(finding.path)}:{finding.line}")
    yield f"[{colour}]{finding.severity:<7}[/{colour}]  [bold]{finding.rule}[/bold]  {place}"
    for said in (finding.message, finding.sql, finding.cure):
        if said is not None:
            yield f"         {escape(said)}"


def _shown(path: Path) -> str:
    """Return the path from the working directory, when it is in there."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def as_json(found: Sequence[Finding]) -> str:
    """Return findings as a JSON list; paths are absolute."""
    return json.dumps([asdict(each) | {"path": str(each.path)} for each in found], indent=2)


def annotations(found: Sequence[Finding]) -> Iterator[str]:
    """Yield the workflow commands that have GitHub show findings beside the lines of a change."""
    for each in found:
        place = f"file={_property(str(each.path))},line={each.line}"
        said = "\n".join(part for part in (each.message, each.sql, each.cure) if part)
        yield f"::{each.severity} {place},title={_property(each.rule)}::{_data(said)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
