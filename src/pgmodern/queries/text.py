"""What a person typed, made fit to send."""

import re

LONGEST = 512


def cleaned(text: str) -> str:
    """Return the text without what PostgreSQL cannot store, at most 512 characters of it.

    NUL and lone surrogates become spaces, so that words do not run together.
    """
    return re.sub(r"[\x00\ud800-\udfff]", " ", text[:LONGEST]).strip()


def words(text: str) -> list[str]:
    """Split a text into the words that pg_trgm would see, in lower case."""
    return re.findall(r"[^\W_]+", text.lower())
