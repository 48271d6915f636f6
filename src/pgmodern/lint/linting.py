"""All rules together, ours and those of squawk."""

import inspect
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from alembic.script import Script

from pgmodern.lint import squawk as squawk_cli
from pgmodern.lint.allowed import UNKNOWN, allowed, unknown
from pgmodern.lint.finding import LARGE, Finding
from pgmodern.lint.history import History
from pgmodern.lint.revision import Project, Revision
from pgmodern.lint.rules import RULES
from pgmodern.lint.rules.mixed_revision import is_mixed
from pgmodern.lint.script import with_script

log = logging.getLogger("pgmodern")


def lint(
    ini: Path, asked: str | None = None, *, large: int = LARGE, squawk: bool = True
) -> list[Finding]:
    """Judge the revisions of a range, in their order; changes nothing.

    `asked` is what a database at START lacks of END, as `START:END`, or one revision; without it,
    what the database of env.py lacks, and only there a table of less than `large` rows is small.
    Raises SettingsError without an Alembic configuration or without squawk, MigrationError when
    there are no such revisions or they cannot be read, DatabaseUnavailable.
    """
    history = History(ini)
    scripts, rows = history.pending() if asked is None else (history.asked(asked), None)
    project = Project(
        history.root,
        tuple(Path(each).resolve() for each in history.folders),
        (str(history.root), str(history.root / "src"), *sys.path),
        large,
        rows,
    )
    revisions = [_read(history, script) for script in scripts]
    log.info("revisions judged: %s", _named([each.revision for each in revisions]))
    found = [each for revision in revisions for each in _findings(revision, project)]
    if squawk:
        found += squawk_cli.findings(revisions, history.root)
    order = [each.revision for each in revisions]
    return sorted(
        _shown(found, revisions), key=lambda each: (order.index(each.revision), each.line)
    )


def _named(revisions: list[str]) -> str:
    if len(revisions) < 3:
        return " and ".join(revisions) or "none"
    return f"{len(revisions)}, from {revisions[0]} to {revisions[-1]}"


def _read(history: History, script: Script) -> Revision:
    source, rivals = inspect.getsource(script.module), history.rivals(script.revision)
    revision = Revision(script.revision, Path(script.path), source, rivals)
    return revision if is_mixed(revision) else with_script(revision, history, script)


def _findings(revision: Revision, project: Project) -> Iterator[Finding]:
    yield from unknown(revision)
    for rule in RULES:
        yield from rule.findings(revision, project)


def _shown(found: list[Finding], revisions: list[Revision]) -> Iterator[Finding]:
    """Yield what the revisions do not allow themselves."""
    allows = {each.revision: allowed(each.source) for each in revisions}
    for finding in found:
        if finding.rule == UNKNOWN or finding.rule not in allows[finding.revision]:
            yield finding
