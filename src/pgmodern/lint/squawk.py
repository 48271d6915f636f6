"""The rules of squawk, on the SQL that a revision writes.

Each revision is a file of its own for squawk, so that a table is new only in the revision that
creates it. Findings of what Alembic writes around it are nobody's.
"""

import json
import re
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

from pgmodern.engine import MINIMUM_SERVER
from pgmodern.errors import SettingsError
from pgmodern.lint.allowed import SQUAWK, of_squawk, refused
from pgmodern.lint.finding import SEVERITIES, Finding, Severity
from pgmodern.lint.revision import Revision, Statement
from pgmodern.lint.sql import bare

_INDEXES = "index-not-online finds these, knows how large the table is, and has the cure"
_MODEL = (
    "judges the model, which is decided by the time there is a revision; autogenerate copies it, "
    "and op.change_column_type_online changes it later"
)

# What squawk finds and is not shown, with the reason; docs/lint.md is made of it.
EXCLUDED = {
    "require-concurrent-index-creation": _INDEXES,
    "require-concurrent-index-deletion": _INDEXES,
    "disallowed-unique-constraint": _INDEXES,
    "adding-serial-primary-key-field": _INDEXES,
    "prefer-bigint-over-int": _MODEL,
    "prefer-bigint-over-smallint": _MODEL,
    "prefer-identity": _MODEL,
    "prefer-text-field": _MODEL,
    "prefer-timestamp-tz": _MODEL,
    "ban-char-field": _MODEL,
    "require-statement-timeout": (
        "a build or a validation may take hours and stop nobody; what must be short, the wait "
        "for a lock, is bounded by the policy of `environment.run()`"
    ),
}

# Found of each constraint. A foreign key has a rule of its own, a key cannot be NOT VALID: it is
# shown of a CHECK alone.
NOT_VALID = "constraint-missing-not-valid"

# How an operation of ours does what it does is proved: it is killed before each of its statements,
# and run again. What it takes from the application is the application's to know.
OF_PROVED = {"ban-drop-column", "ban-drop-not-null"}

# What the operations of ours do in the place of what squawk finds.
_CURES = {
    "adding-field-with-default": "op.add_column without the default, then op.backfill_online.",
    "adding-foreign-key-constraint": "op.add_foreign_key_online",
    "adding-not-nullable-field": "op.set_not_null_online",
    "changing-column-type": "op.change_column_type_online",
    NOT_VALID: "op.add_check_constraint_online",
    "prefer-robust-stmts": (
        "An operation whose name ends in _online may be run again; or write IF [NOT] EXISTS."
    ),
    "require-lock-timeout": "Let env.py call pgmodern.environment.run(), which bounds each wait.",
    "ban-concurrent-index-creation-in-transaction": "op.create_index_online",
}

_SEVERITIES: dict[str, Severity] = {each.capitalize(): each for each in SEVERITIES}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A finding of squawk's, in terms of the statement that it is of."""

    name: str
    level: str
    message: str
    help: str | None
    statement: Statement


def findings(revisions: Iterable[Revision], root: Path) -> list[Finding]:
    """Return what squawk has against the SQL of revisions.

    A `.squawk.toml` of the project is squawk's to read; `root` is where it looks for it. Raises
    SettingsError when squawk is not installed, or does not answer.
    """
    scripts = [(revision, script(revision)) for revision in revisions if revision.statements]
    found = _run([each for _, each in scripts], root) if scripts else []
    return [
        finding
        for (revision, _), seen in zip(scripts, found, strict=True)
        for finding in _of_revision(revision, seen)
    ]


def script(revision: Revision) -> list[Statement]:
    """Return the statements of a revision as a script that stands by itself.

    Before them come what env.py sets, the transaction that is open by then, and what the revision
    allows itself; the transaction ends with them.
    """
    its = [number for number, each in enumerate(revision.script) if each.line is not None]
    first, last = its[0], its[-1] + 1
    before = [each for each in revision.script[:first] if each.sql.startswith("SET ")]
    names = ", ".join(of_squawk(revision.source))
    ignore = [Statement(f"-- squawk-ignore-file {names}")] if names else []
    begin = [Statement("BEGIN;")] if _is_open(revision.script[:first]) else []
    commit = [Statement("COMMIT;")] if _is_open(revision.script[:last]) else []
    return [*ignore, *before, *begin, *revision.script[first:last], *commit]


def _is_open(statements: Sequence[Statement]) -> bool:
    """Tell whether a transaction is open after these statements."""
    marks = [each.sql for each in statements if each.sql in {"BEGIN;", "COMMIT;"}]
    return marks[-1:] == ["BEGIN;"]


def _run(scripts: Sequence[Sequence[Statement]], root: Path) -> list[list[_Seen]]:
    with TemporaryDirectory(prefix="pgmodern-lint-") as folder:
        paths = [Path(folder, f"{number}.sql") for number in range(len(scripts))]
        for path, statements in zip(paths, scripts, strict=True):
            path.write_text("\n".join(each.sql for each in statements), encoding="utf-8")
        answers = _answers(paths, root)
    return [
        _seen(statements, [each for each in answers if each["file"] == str(path)])
        for path, statements in zip(paths, scripts, strict=True)
    ]


def _answers(paths: Iterable[Path], root: Path) -> list[dict[str, Any]]:
    command = [
        _executable(),
        "--reporter=json",
        f"--pg-version={MINIMUM_SERVER}.0",
        "--no-assume-in-transaction",  # BEGIN and COMMIT are in the script
        *map(str, paths),
    ]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        answers: list[dict[str, Any]] = json.loads(ran.stdout)
    except ValueError:
        raise SettingsError(
            f"squawk did not answer: {ran.stderr.strip() or f'exit code {ran.returncode}'}",
            "pgmodern needs squawk-cli 2.70 or later; or do without: --no-squawk",
        ) from None
    return answers


def _executable() -> str:
    beside = Path(sys.executable).with_name("squawk")
    found = str(beside) if beside.is_file() else which("squawk")
    if found is None:
        raise SettingsError(
            "squawk is not installed.", "pip install 'pgmodern[lint]', or do without: --no-squawk"
        )
    return found


def _seen(statements: Sequence[Statement], answers: Iterable[dict[str, Any]]) -> list[_Seen]:
    """Return answers with the statements that they are of; their lines are counted from 0."""
    heights = (each.sql.count("\n") + 1 for each in statements)
    starts = list(accumulate(heights, initial=0))
    return [
        _Seen(
            each["rule_name"],
            each["level"],
            each["message"],
            each["help"],
            statements[bisect_right(starts, each["line"]) - 1],
        )
        for each in answers
    ]


def _of_revision(revision: Revision, seen: Sequence[_Seen]) -> Iterator[Finding]:
    for each in _once(seen):
        if each.statement.line is None:
            yield from _unknown(revision, each)
        elif not _is_excluded(each):
            yield Finding(
                SQUAWK + each.name,
                _SEVERITIES.get(each.level, "warning"),
                revision.revision,
                revision.path,
                each.statement.line,
                each.message,
                _cure(each),
                each.statement.shortened(),
            )


def _once(seen: Sequence[_Seen]) -> Iterator[_Seen]:
    """Yield what is said of a statement, and how often it is said once; of its syntax the first."""
    said = set[tuple[int, str]]()
    for each in seen:
        what = each.name if each.name == "syntax-error" else each.message
        if (id(each.statement), what) not in said:
            yield each
        said.add((id(each.statement), what))


def _unknown(revision: Revision, seen: _Seen) -> Iterator[Finding]:
    """Yield the finding of a name that the revision allows and squawk does not know."""
    for name, line in of_squawk(revision.source).items():
        if seen.name == "unused-ignore" and seen.message.endswith(f" {name}"):
            yield refused(revision, line, f"squawk has no rule {name!r}")


def _is_excluded(seen: _Seen) -> bool:
    if seen.statement.proved and seen.name not in OF_PROVED:
        return True
    if seen.name == NOT_VALID:
        return re.search(r"\bCHECK\b", bare(seen.statement.sql), re.IGNORECASE) is None
    return seen.name in EXCLUDED


def _cure(seen: _Seen) -> str:
    allow = f"# pgmodern: allow {SQUAWK}{seen.name}"
    return _CURES.get(seen.name) or seen.help or f"If it is meant, say so in the revision: {allow}"
