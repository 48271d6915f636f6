"""What a revision gives to `exec_driver_sql`, as the driver takes it that it was written for."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

# $1 is no parameter in a text, a quoted name, a comment or the body of a function.
_PARAMETER = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
      | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
      | (?P<name>[^\W\d][\w$]*)
      | \$(?P<number>\d+)""",
    re.VERBOSE | re.DOTALL,
)


@contextmanager
def as_for_asyncpg(connection: Connection) -> Iterator[None]:
    """Have a connection of psycopg's take what `exec_driver_sql` gives to asyncpg, for the body.

    For asyncpg `%` is a sign like any other and parameters are `$1`; for psycopg, to which
    SQLAlchemy always passes parameters, if only an empty tuple, `%` begins one. Who passes some
    and writes no `$1` wrote for psycopg.
    """

    def translate(
        _: Connection, __: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        by_sqlalchemy = context.compiled is not None
        is_unread = context.no_parameters and not parameters
        if by_sqlalchemy or is_unread or (parameters and not _has_numbers(statement)):
            return statement, parameters
        doubled = statement.replace("%", "%%")
        if not parameters:
            return doubled, parameters
        rows = map(_numbered, parameters if executemany else [parameters])
        return _with_placeholders(doubled), list(rows) if executemany else next(rows)

    event.listen(connection, "before_cursor_execute", translate, retval=True)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", translate)


def _has_numbers(statement: str) -> bool:
    return any(found["number"] for found in _PARAMETER.finditer(statement))


def _with_placeholders(statement: str) -> str:
    """Return a statement with psycopg's `%(1)s` for `$1`."""
    return _PARAMETER.sub(
        lambda found: f"%({found['number']})s" if found["number"] else found[0], statement
    )


def _numbered(parameters: Sequence[Any]) -> dict[str, Any]:
    return {str(number): value for number, value in enumerate(parameters, start=1)}
