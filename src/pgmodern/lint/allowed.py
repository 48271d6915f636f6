"""What a revision allows itself, in a comment of its file: `# pgmodern: allow missing-downgrade`.

Several names are separated by commas; a rule of squawk's is named squawk:ban-drop-column.
"""

import io
import re
import tokenize
from collections.abc import Iterator, Mapping

from pgmodern.lint.finding import Finding
from pgmodern.lint.revision import Revision
from pgmodern.lint.rules import RULES

SQUAWK = "squawk:"
_OF_SQUAWK = re.compile(rf"{SQUAWK}[a-z0-9-]+")
UNKNOWN = "unknown-rule"
_COMMENT = re.compile(r"#\s*pgmodern:\s*(?P<verb>\S*)\s*(?P<names>.*)")


def allowed(source: str) -> Mapping[str, int]:
    """Return the names that the comments of a source allow, with their lines."""
    return {
        name.strip(): line
        for comment, line in _comments(source)
        if comment["verb"] == "allow"
        for name in comment["names"].split(",")
    }


def of_squawk(source: str) -> Mapping[str, int]:
    """Return what a source allows of squawk's rules, by their names there, with the lines."""
    return {
        name.removeprefix(SQUAWK): line
        for name, line in allowed(source).items()
        if _OF_SQUAWK.fullmatch(name)
    }


def unknown(revision: Revision) -> Iterator[Finding]:
    """Yield what is written like an allowance and is none; squawk's own names squawk knows."""
    known = {rule.name for rule in RULES}
    for comment, line in _comments(revision.source):
        if comment["verb"] != "allow":
            yield refused(revision, line, f"{comment['verb']!r} is nothing that is understood")
    for name, line in allowed(revision.source).items():
        if name not in known and not _OF_SQUAWK.fullmatch(name):
            yield refused(revision, line, f"There is no rule {name!r}")


def refused(revision: Revision, line: int, cause: str) -> Finding:
    """Return the finding of a comment that allows nothing."""
    names = ", ".join(rule.name for rule in RULES)
    return Finding(
        UNKNOWN,
        "error",
        revision.revision,
        revision.path,
        line,
        f"{cause}: the comment allows nothing.",
        f"Write: # pgmodern: allow NAME, with a name of {names}, or squawk:NAME of its rules.",
    )


def _comments(source: str) -> Iterator[tuple[re.Match[str], int]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (found := _COMMENT.match(token.string)):
            yield found, token.start[0]
