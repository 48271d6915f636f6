"""Whether a revision runs in a transaction or online, read from its source before it runs."""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from alembic.runtime.migration import MigrationContext, MigrationInfo, MigrationStep, RevisionStep

from pgmodern.errors import MigrationError

Heads = tuple[str, ...]
Steps = Callable[[Heads, MigrationContext], Iterable[MigrationStep]]

Kind = Literal["transactional", "online", "by hand"]
Direction = Literal["upgrade", "downgrade"]

# Reads what the migration is run with; allowed in either kind.
_NEUTRAL = {"get_context", "get_bind", "f", "inline_literal"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a directive of `op` in a revision."""

    directive: str
    line: int

    @property
    def online(self) -> bool:
        """Whether the directive runs outside a transaction."""
        return self.directive.endswith("_online")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the source of a revision's function says: its directives, and whether it commits."""

    calls: tuple[Call, ...] = ()
    commits: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of a run, how it runs, and what it calls."""

    step: Any
    kind: Kind
    calls: tuple[Call, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what a dry run shows of it."""
        yield f"{self.step.short_log}  ({self.kind})"
        for call in self.calls:
            yield f"    op.{call.directive}, line {call.line}"


def plan(steps: Steps, heads: Heads, migration: MigrationContext) -> list[Planned]:
    """Return what a run would do from these heads, before any of it has run.

    Raises MigrationError for a mixed revision, as `kind` does.
    """
    return [_planned(step) for step in steps(heads, migration)]


def _planned(step: MigrationStep) -> Planned:
    if not isinstance(step, RevisionStep):  # a stamp
        return Planned(step, "transactional")
    module, direction = step.revision.module, _direction(step)
    reading = read(inspect.getsource(module), direction)
    return Planned(step, kind(reading, f"{module.revision}: {direction}()"), reading.calls)


def void_after(step: MigrationInfo) -> set[str]:
    """Return the revisions whose unfinished work is void once a step is stamped.

    Those that it passes; on the way down also those that stand on them: what they worked on may
    be gone.
    """
    revisions, passed = step.revision_map, set(step.up_revision_ids)
    if step.is_stamp:
        between = revisions.iterate_revisions(step.up_revision_ids, step.down_revision_ids)
        passed |= {each.revision for each in between}
    pending = [] if step.is_upgrade else list(passed)
    while pending:
        revision = revisions.get_revision(pending.pop())
        following = set(revision.nextrev) - passed if revision else set()
        passed |= following
        pending += following
    return passed


def _direction(step: RevisionStep) -> Direction:
    return "upgrade" if step.is_upgrade else "downgrade"


def kind(reading: Reading, function: str) -> Kind:
    """Return how a revision's function runs; an empty one is transactional.

    A mixed one could be killed between its parts and be left half applied and unstamped, so it
    is refused: raises MigrationError that names the function and the lines. One that opens
    `autocommit_block()` itself looks after itself, "by hand".
    """
    online = [call for call in reading.calls if call.online]
    others = [call for call in reading.calls if not call.online]
    if online and others:
        raise MigrationError(
            f"Revision {function} mixes op.{online[0].directive} "
            f"(line {online[0].line}), which runs outside a transaction, with "
            f"op.{others[0].directive} (line {others[0].line}), which needs one.",
            "Split it: first a revision with the one kind, then one with the other.",
        )
    if online:
        return "online"
    return "by hand" if reading.commits else "transactional"


def read(source: str, function: str) -> Reading:
    """Read what a function does, also through the module's other functions."""
    tree = ast.parse(source)
    op, asked = _name_of_op(tree), list(_attributes(tree, function))
    calls = (Call(node.attr, node.lineno) for node in asked if _is_directive(node, op))
    return Reading(tuple(calls), any(node.attr == "autocommit_block" for node in asked))


def _attributes(tree: ast.Module, function: str) -> Iterator[ast.Attribute]:
    """Yield the attributes that a function asks for, also through the module's other functions."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    pending, seen = [function], set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Name):  # a call, or a function handed on to be called
                pending.append(node.id)
            if isinstance(node, ast.Attribute):
                yield node


def _name_of_op(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "alembic":
            for alias in node.names:
                if alias.name == "op":
                    return alias.asname or "op"
    return "op"


def _is_directive(node: ast.Attribute, op: str) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == op and node.attr not in _NEUTRAL
