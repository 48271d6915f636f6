"""A rule: why it is one, a revision that breaks it, one that does not, and how that is found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import cleandoc

from pgmodern.lint.finding import Finding, Severity
from pgmodern.lint.revision import Project, Revision, Statement

MARK = "  # found"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found, at a line of the revision's file."""

    line: int
    message: str
    cure: str
    statement: Statement | None = None


Check = Callable[[Revision, Project], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of ours.

    `bad` and `good` are whole revisions, from which its tests and its part of the documentation
    are made; a line of `bad` that is found ends in MARK. The first ones of several are what the
    last one stands on.
    """

    name: str
    severity: Severity
    why: str
    bad: tuple[str, ...]
    good: tuple[str, ...]
    check: Check

    def findings(self, revision: Revision, project: Project) -> Iterator[Finding]:
        """Yield what the rule has against a revision."""
        for found in self.check(revision, project):
            yield Finding(
                self.name,
                self.severity,
                revision.revision,
                revision.path,
                found.line,
                found.message,
                found.cure,
                found.statement.shortened() if found.statement else None,
            )


def rule(
    name: str, severity: Severity, why: str | None, *, bad: str, good: str, check: Check
) -> Rule:
    """Make a rule of a module's docstring, whose first line is its title, and its examples."""
    return Rule(name, severity, cleandoc(why or ""), _files(bad), _files(good), check)


def _files(example: str) -> tuple[str, ...]:
    return tuple(f"{each.strip()}\n" for each in example.split("\n---\n"))
