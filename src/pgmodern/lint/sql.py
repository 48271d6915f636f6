"""What SQL text says at its surface: names, and everything but its literals."""

import re

_PART = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
NAME = rf"{_PART}(?:\s*\.\s*{_PART})?"  # schema and name, as they are written
_PARTS = re.compile(_PART)

_LITERAL = re.compile(
    r"""
    (?P<name>"(?:[^"]|"")*")            # kept
    | --[^\n]* | /\*.*?\*/
    | \b[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag)
    """,
    re.VERBOSE | re.DOTALL,
)


def bare(sql: str) -> str:
    """Return SQL without comments, and with nothing in its strings and the bodies of its blocks."""
    return _LITERAL.sub(lambda found: found["name"] or " '' ", sql)


def folded(name: str) -> str:
    """Return a name as the catalogue has it: `Songs` is songs, and so is public.songs."""
    parts = [
        part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()
        for part in _PARTS.findall(name)
    ]
    return ".".join(parts[1:] if parts[0] == "public" and len(parts) > 1 else parts)
