"""Rows chosen by what their JSONB document holds."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Text, cast, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql.json import JSONPATH

from pgmodern.errors import DocumentError, ServerTooOld
from pgmodern.indexes import DeclaredIndex
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import storable

_SINCE = 16  # pg_input_is_valid (manual, 9.27)


def documents(
    index: DeclaredIndex,
    where: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]] = (),
) -> Statement:
    """Select the keys, and the columns to order by, of the rows that meet the conditions.

    They are found before anything is ordered: an order and a limit around this (see `page`)
    cannot lure the planner into walking the order's index and reading every document on the way,
    which it likes to do for rare values.
    """
    columns = dict.fromkeys((*index.key, *order))
    found = select(*columns).where(*where, *index.conditions)
    return select(found.cte("found").prefix_with("MATERIALIZED"))


def json_path(path: str | ColumnElement[str]) -> ColumnElement[Any]:
    """Return the path as a value that is NULL when it is not a valid jsonpath.

    So a path from outside finds nothing instead of failing the transaction; `is_json_path` tells
    the two apart. The subquery keeps the planner from casting the text before it is judged.
    Needs PostgreSQL 16 (`require_json_paths`). Raises as `checked` does.
    """
    text = literal(checked(path), Text) if isinstance(path, str) else path
    given = select(text.label("path")).offset(literal_column("0")).subquery("given")
    valid = func.pg_input_is_valid(given.c.path, "jsonpath")
    return select(cast(given.c.path, JSONPATH)).where(valid).scalar_subquery()


def require_json_paths(dialect: Dialect) -> None:
    """Raise ServerTooOld unless the server can tell what is a jsonpath; it does from 16 on.

    `dialect` is that of a connection, which knows the server's version.
    """
    known = dialect.server_version_info
    if known is not None and (version := int(known[0])) < _SINCE:
        raise ServerTooOld(
            f"Searches by a JSON path need PostgreSQL {_SINCE}; the server is {version}.",
            "Upgrade the server, or search by `containing` a document.",
        )


def is_json_path(path: str) -> Statement:
    """Select whether the text is a valid jsonpath; raises as `checked` does."""
    return select(func.pg_input_is_valid(literal(checked(path), Text), "jsonpath"))


_LONGEST_PATH = 4_096
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|/\*.*?\*/', re.DOTALL)
# A dollar that is followed by neither blank nor special character begins a variable's name.
_CAN_ONLY_FAIL = re.compile(
    r"\$[^ \t\n\r\f?%$.\[\]{}()|&!=<>@#,*:+/-]|\.\s*(?:date|datetime|time|timestamp)(?:_tz)?\s*\("
)


def _blank(found: re.Match[str]) -> str:
    return '""' if found[0].startswith('"') else " "


def checked(path: str) -> str:
    """Return the path, fit to send.

    Raises DocumentError for what is valid and yet can only fail: a path of over 4,096 characters,
    a variable, and the methods that depend on the session's time zone.
    """
    path = storable(path).strip()
    if len(path) > _LONGEST_PATH:
        raise DocumentError("The JSON path is too long.", f"Use {_LONGEST_PATH:,} characters.")
    if _CAN_ONLY_FAIL.search(_STRING_OR_COMMENT.sub(_blank, path)):
        raise DocumentError(
            "The JSON path has a variable, or a method of dates and times.",
            "Write the value into the path; compare dates as ISO texts.",
        )
    return path
