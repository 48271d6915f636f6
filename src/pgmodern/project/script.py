"""The parts of a revision's file, for script.py.mako: written as ruff would, whatever they say."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

# What a revision may call without Alembic knowing that it has to be imported.
_USUAL = "import pgmodern\nimport sqlalchemy as sa\nfrom alembic import op"


def docstring(message: str) -> str:
    """Return the message as a docstring of one line, with a full stop."""
    text = " ".join(message.split())
    # Each part by itself: of a text with both kinds of quotes, repr() escapes one.
    text = "'".join(repr(part)[1:-1] for part in text.split("'"))
    text = text.replace('"""', r"\"\"\"")
    escape = "\\" if text.startswith('"') else ""
    stop = "" if text.endswith((".", "!", "?")) else "."
    return f'"""{escape}{text}{stop}"""'


def literal(value: object) -> str:
    """Return the Python literal of None, of a string or of several, in double quotes."""
    written = repr(value)
    return written if '"' in written else written.replace("'", '"')


def imported(given: str | None, *bodies: str | None) -> str:
    """Return the imports that the bodies use, sorted: of those that are given, and the usual ones.

    Raises SyntaxError when one of them is not Python.
    """
    asked = list(_imports(given or ""))
    bound = {each.bound for each in asked}
    asked += [each for each in _imports(_USUAL) if each.bound not in bound]
    used = {name for body in bodies if body for name in _names(body)}
    needed = sorted({each for each in asked if each.bound in used}, key=attrgetter("module"))
    lines = []
    for module, members in groupby(needed, key=attrgetter("module")):
        names = sorted((each.name for each in members), key=_by_kind)
        if module:
            lines.append(f"from {module} import {', '.join(names)}")
        else:
            lines += [f"import {name}" for name in names]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Import:
    """A name that is imported, from a module unless that is empty, and what it is bound to."""

    module: str
    name: str
    bound: str


def _imports(source: str) -> Iterator[_Import]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield _Import(module, ast.unparse(alias), bound)


def _names(body: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(f"def body():\n    {body}")):
        if isinstance(node, ast.Name):
            yield node.id


def _by_kind(name: str) -> tuple[bool, bool, str]:
    """Sort as isort does: constants, then classes, then the rest."""
    return not (name.isupper() and len(name) > 1), not name[0].isupper(), name
