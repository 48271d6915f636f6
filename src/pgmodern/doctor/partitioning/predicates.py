"""Which columns of a table a statement compares with values, so that partitions could be skipped.

A reading of the text as pg_stat_statements keeps it, with $1 for every constant; no parser of SQL,
as none comes with PostgreSQL. What it does not understand it does not count.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

_TOKEN = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | \s+
      | (?P<value>[ebxn]?'(?:[^']|'')*' | \$\d+ | \d[\d.]*)
      | "(?P<quoted>(?:[^"]|"")+)"
      | (?P<word>[^\W\d][\w$]*)
      | (?P<sign>:: | [<>=!~@#%^&|`?+*/-]+ | .)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
Clause = Literal["tables", "conditions", "other"]

_COMPARISONS = frozenset({"=", "<", ">", "<=", ">="})
# After these stand tables, or conditions; after the others neither.
_TABLES = frozenset({"from", "join", "update", "using"})
_CONDITIONS = frozenset({"where", "on"})
_OTHERS = frozenset({
    "select", "set", "group", "order", "having", "limit", "offset", "fetch", "returning", "window",
    "union", "except", "intersect", "values", "do",
})  # fmt: skip
_JOINS = frozenset({"inner", "left", "right", "full", "cross", "natural"})
_KEYWORDS = _TABLES | _CONDITIONS | _OTHERS | _JOINS
_NOW = frozenset({"current_date", "current_timestamp", "localtimestamp"})


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement: a value, a sign, or a name; an unquoted one may be a keyword."""

    kind: Literal["value", "sign", "word", "quoted"]
    text: str


_END, _OPENING, _CLOSING = (Token("sign", text) for text in ("", "(", ")"))


@dataclass(slots=True)
class Statement:
    """A statement in pieces, and where in it tables and conditions may stand."""

    tokens: Sequence[Token]
    tables: list[int] = field(default_factory=list)
    conditions: list[int] = field(default_factory=list)

    @property
    def verb(self) -> str:
        """The statement's first word."""
        return self.tokens[0].text if self.tokens else ""

    def at(self, place: int) -> Token:
        """Return the piece at a place; beyond the ends, one that is nothing."""
        return self.tokens[place] if 0 <= place < len(self.tokens) else _END


def parse(query: str) -> Statement:
    """Take a statement to pieces."""
    statement = Statement(tuple(_tokens(query)))
    clauses: list[Clause] = ["other"]  # of the parentheses that are open
    for place, token in enumerate(statement.tokens):
        if token == _OPENING:
            clauses.append(clauses[-1])
        elif token == _CLOSING and len(clauses) > 1:
            clauses.pop()
        elif token.kind == "word" and statement.at(place - 1).text != "distinct":
            clauses[-1] = _clause(token.text) or clauses[-1]
        if clauses[-1] == "tables":
            statement.tables.append(place)
        elif clauses[-1] == "conditions":
            statement.conditions.append(place)
    return statement


def _tokens(query: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(query):
        text = match.group()
        if match["value"]:
            yield Token("value", text)
        elif match["quoted"]:
            yield Token("quoted", match["quoted"].replace('""', '"'))
        elif match["word"]:
            yield Token("word", text.lower())
        elif match["sign"]:
            yield Token("sign", text)


def _clause(word: str) -> Clause | None:
    """Return what a keyword begins, or None."""
    if word in _TABLES:
        return "tables"
    if word in _CONDITIONS:
        return "conditions"
    return "other" if word in _OTHERS else None


def names(statement: Statement, schema: str, table: str) -> frozenset[str]:
    """Return what the statement calls the table that it reads: its name, aliases; none if not."""
    found = set[str]()
    for place in statement.tables:
        if _is_name(statement.at(place), table) and _is_of(statement, place, schema):
            after = place + 1 + (statement.at(place + 1).text == "as")
            alias = statement.at(after)
            found |= {table}
            if alias.kind == "quoted" or (alias.kind == "word" and alias.text not in _KEYWORDS):
                found |= {alias.text}
    return frozenset(found)


def _is_name(token: Token, name: str) -> bool:
    return token.kind in {"word", "quoted"} and token.text == name


def _is_of(statement: Statement, place: int, schema: str) -> bool:
    if statement.at(place - 1).text == ".":
        return _is_name(statement.at(place - 2), schema)
    return statement.at(place - 1).text in _TABLES | {"only", ",", "("}


def compared(
    statement: Statement, called: frozenset[str], columns: Sequence[str]
) -> frozenset[str]:
    """Return the columns of the table so called that a condition compares with values.

    Not those inside a function, a cast or an expression, or compared with another column: these
    skip no partition.
    """
    return frozenset(
        token.text
        for place in statement.conditions
        if (token := statement.at(place)).kind in {"word", "quoted"}
        and token.text in columns
        and _compares(statement, place, called)
    )


def _compares(statement: Statement, place: int, called: frozenset[str]) -> bool:
    before = place - 1
    if statement.at(before).text == ".":
        if statement.at(before - 1).text not in called:
            return False
        before -= 2
    after = statement.at(place + 1)
    if after.text in _COMPARISONS or after.text == "between":
        return _is_value(statement, place + 2)
    if after.text == "in":
        return statement.at(place + 2).text == "(" and _is_value(statement, place + 3)
    if after.kind == "sign" and after.text not in {")", ";", ",", ""}:
        return False
    left = statement.at(before - 1)
    return statement.at(before).text in _COMPARISONS and (left.kind == "value" or left.text == ")")


def _is_value(statement: Statement, place: int) -> bool:
    """Tell whether a value begins here: $1, now(), DATE $1, ANY ($1); not another column."""
    token, following = statement.at(place), statement.at(place + 1)
    if token.kind == "sign" and token.text in {"(", "-", "+"}:
        return _is_value(statement, place + 1)
    if token.kind == "word":
        return token.text in _NOW or following.kind == "value" or following.text in {"(", "["}
    return token.kind == "value"
