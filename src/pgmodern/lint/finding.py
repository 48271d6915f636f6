"""What a rule says against a revision."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Severity = Literal["warning", "error"]
LARGE = 10_000  # a B-tree of so many rows is built in milliseconds, an HNSW index in seconds
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One hazard, at a line of the file of a revision, counted from 1.

    `sql` is the statement concerned, where a statement is, on one line and shortened.
    """

    rule: str
    severity: Severity
    revision: str
    path: Path
    line: int
    message: str
    cure: str
    sql: str | None = None
