"""Names, values and statements as SQL text."""

from sqlalchemy import Dialect, TextClause, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg


class _Conforming(PGDialect_psycopg):
    """PostgreSQL with standard_conforming_strings, which SQLAlchemy 2.0 asks the server for."""

    supports_statement_cache = True
    _backslash_escapes = False


DIALECT: Dialect = _Conforming(paramstyle="named")  # type: ignore[no-untyped-call]


def verbatim(sql: str) -> TextClause:
    """Return SQL in which a colon and a percent sign mean nothing."""
    return text(sql.replace(":", r"\:"))


def quoted(name: str, schema: str | None = None) -> str:
    """Quote a possibly qualified name for SQL text and for `to_regclass`."""
    parts = [schema, name] if schema else [name]
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def string(value: str) -> str:
    """Return a value as an SQL string literal (of standard_conforming_strings)."""
    return "'" + value.replace("'", "''") + "'"
