"""Names and statements as SQL text."""

from sqlalchemy import TextClause, text


def verbatim(sql: str) -> TextClause:
    """Return SQL in which a colon and a percent sign mean nothing."""
    return text(sql.replace(":", r"\:"))


def quoted(name: str, schema: str | None = None) -> str:
    """Quote a possibly qualified name for SQL text and for `to_regclass`."""
    parts = [schema, name] if schema else [name]
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)
