"""What pg_stat_statements counted, where it is there and may be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.errors import ObjectNotInPrerequisiteState
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgmodern.doctor.partitioning.predicates import Statement, compared, names, parse
from pgmodern.doctor.reading import UNREADABLE
from pgmodern.quoting import quoted

_SCHEMA = text("""
    SELECT nspname FROM pg_catalog.pg_extension
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = extnamespace
    WHERE extname = 'pg_stat_statements'
""")
# The text of what other roles ran is shown to members of pg_read_all_stats alone, its query id too.
_STATEMENTS = """
    SELECT query, sum(calls)::bigint FROM {}.pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND queryid IS NOT NULL
    GROUP BY query
"""


@dataclass(frozen=True, slots=True)
class Called:
    """A statement, and how often it was called."""

    statement: Statement
    calls: int


@dataclass(frozen=True, slots=True)
class Reads:
    """How many calls read a table, and of these how many compare each column with a value."""

    total: int
    columns: dict[str, int]
    removals: dict[str, int]


def called(connection: Connection) -> list[Called]:
    """Return the statements of this database that the role may see; none without the extension."""
    schema = connection.scalar(_SCHEMA)
    if schema is None:
        return []
    try:
        with connection.begin_nested():
            rows = connection.execute(text(_STATEMENTS.format(quoted(schema)))).all()
    except DBAPIError as error:
        # It was created, and is not in shared_preload_libraries.
        if not isinstance(error.orig, UNREADABLE | ObjectNotInPrerequisiteState):
            raise
        return []
    return [Called(parse(query), calls) for query, calls in rows]


def reads(every: Sequence[Called], schema: str, table: str, columns: Sequence[str]) -> Reads:
    """Count the calls that read a table; an INSERT reads none by itself."""
    found = Reads(0, dict.fromkeys(columns, 0), dict.fromkeys(columns, 0))
    total = 0
    for each in every:
        if not (known_as := names(each.statement, schema, table)):
            continue
        total += each.calls
        for column in compared(each.statement, known_as, columns):
            found.columns[column] += each.calls
            if each.statement.verb == "delete":
                found.removals[column] += each.calls
    return Reads(total, found.columns, found.removals)
