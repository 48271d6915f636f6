"""What is wrong with one object of a live database, and its cure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

Severity = Literal["note", "warning", "error"]
DAYS = 30  # how old the statistics must be before an index counts as unused
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class Kind(StrEnum):
    """What is wrong; the names of the command's option --only."""

    INVALID_INDEX = "invalid-index"
    DUPLICATE_INDEX = "duplicate-index"
    COVERED_INDEX = "covered-index"
    KEY_COPY = "key-copy"
    COMPETING_INDEX = "competing-index"
    UNUSED_INDEX = "unused-index"
    UNINDEXED_FOREIGN_KEY = "unindexed-foreign-key"
    UNVALIDATED_CONSTRAINT = "unvalidated-constraint"
    OUTDATED_EXTENSION = "outdated-extension"
    PENDING_LIST = "pending-list"
    UNANALYZED_TABLE = "unanalyzed-table"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding: of a fault, or, as a note, of what could not be looked at and why.

    `name` is the index, constraint, extension or table; of a note it is the database. `cure` is a
    line of a revision, whose directive says whether the revision is online or transactional; None
    when there is none that could be pasted.
    """

    kind: Kind
    severity: Severity
    schema: str | None
    table: str | None
    name: str
    detail: str
    cure: str | None


def not_known(kind: Kind, database: str, reason: str, cure: str | None = None) -> Diagnosis:
    """Say that a check could not look; it is no fault, and silence would pass for health."""
    return Diagnosis(kind, "note", None, None, database, f"not known: {reason}", cure)
