"""A revision as the rules read it: its source, and the SQL that its upgrade writes."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_SHORT = 160


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a script, and the line of the revision's file that wrote it.

    One that Alembic or env.py wrote has no line. One that is `proved` is part of an operation of
    pgmodern's, which is safe as a whole, though the statement by itself may not look it.
    """

    sql: str
    line: int | None = None
    proved: bool = False

    def shortened(self) -> str:
        """Return the statement on one line."""
        words = " ".join(self.sql.split())
        return words if len(words) <= _SHORT else f"{words[: _SHORT - 1]}…"


@dataclass(frozen=True)
class Revision:
    """One revision.

    `script` is what its upgrade writes offline, with what Alembic writes around that; `unwritten`
    says why it writes nothing. When it is a head, `rivals` are the other heads of its branch.
    """

    revision: str
    path: Path
    source: str
    rivals: tuple[str, ...] = ()
    script: tuple[Statement, ...] = ()
    unwritten: str | None = None

    @cached_property
    def tree(self) -> ast.Module:
        """The source, parsed."""
        return ast.parse(self.source)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What of the script is the revision's own."""
        return tuple(each for each in self.script if each.line is not None)

    def function(self, name: str) -> ast.FunctionDef | None:
        """Return a function of the module."""
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
        return None

    def line_of(self, name: str) -> int:
        """Return the line where the module defines or assigns a name; without one, the first."""
        for node in self.tree.body:
            for each in _bound(node):
                if name in {getattr(each, "name", None), getattr(each, "id", None)}:
                    return node.lineno
        return 1


def _bound(node: ast.stmt) -> list[ast.AST]:
    if isinstance(node, ast.Assign):
        return list(node.targets)
    return [node.target] if isinstance(node, ast.AnnAssign) else [node]


@dataclass(frozen=True, slots=True)
class Project:
    """What is around the revisions, and what is known of the database.

    `root` is the project's folder, `versions` are those of its revisions, `search_path` is where
    Python looks for modules. `rows` has the rows of each table by its name, and by the name of
    each of its indexes; None where the statistics do not tell. Without a database there is no
    `rows`. A table of `large` rows is a large one.
    """

    root: Path
    versions: tuple[Path, ...]
    search_path: tuple[str, ...]
    large: int
    rows: Mapping[str, float | None] | None = None
