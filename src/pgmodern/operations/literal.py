"""SQL as it is written, online and offline."""

from alembic.operations import Operations
from sqlalchemy import text


def execute(operations: Operations, sql: str) -> None:
    """Execute SQL in which a colon and a percent sign mean nothing."""
    operations.execute(text(sql.replace(":", r"\:")))


def string(value: str) -> str:
    """Return a value as an SQL string literal (of standard_conforming_strings)."""
    return "'" + value.replace("'", "''") + "'"
