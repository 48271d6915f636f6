"""What a person typed, made fit to send."""

import re

from sqlalchemy import ColumnElement, Text, literal

LONGEST = 512
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_NEGATES_NOTHING = re.compile(r'-(?![\w"])')
_WORD = re.compile(r"[^\W_]+")

# What a search takes: a text, or a parameter of a statement that is kept and run with many.
Typed = str | ColumnElement[str]


def sought(text: Typed) -> ColumnElement[str]:
    """Return a text as a parameter, cleaned; an expression as it is."""
    return literal(cleaned(text), Text) if isinstance(text, str) else text


def cleaned(text: str) -> str:
    """Return the text without what PostgreSQL cannot store, at most 512 characters of it.

    NUL and lone surrogates become spaces, so that words do not run together.
    """
    return storable(text[:LONGEST]).strip()


def storable(text: str) -> str:
    """Return the text with a space for each NUL and each lone surrogate."""
    return _UNSTORABLE.sub(" ", text)


def web_search(text: str) -> str:
    """Clean a web search; a dash that negates nothing goes, for a tower of them ends the parser."""
    return _NEGATES_NOTHING.sub(" ", cleaned(text))


def words(text: str) -> list[str]:
    """Split a text into the words that pg_trgm would see, in lower case."""
    return _WORD.findall(text.lower())
