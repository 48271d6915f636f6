"""What is wrong with revisions before they run: rules of ours, and those of squawk.

No revision is applied. With a range no database is needed.
"""

from typing import TYPE_CHECKING

from pgmodern.lazy import attributes

if TYPE_CHECKING:
    from pgmodern.lint.finding import LARGE, SEVERITIES, Finding, Severity
    from pgmodern.lint.linting import lint
    from pgmodern.lint.rules import RULES

__all__ = ["LARGE", "RULES", "SEVERITIES", "Finding", "Severity", "lint"]

__getattr__ = attributes(
    __name__,
    {
        "LARGE": "pgmodern.lint.finding",
        "RULES": "pgmodern.lint.rules",
        "SEVERITIES": "pgmodern.lint.finding",
        "Finding": "pgmodern.lint.finding",
        "Severity": "pgmodern.lint.finding",
        "lint": "pgmodern.lint.linting",
    },
)
