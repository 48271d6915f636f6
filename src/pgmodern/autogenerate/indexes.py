"""Declared indexes are compared as PostgreSQL deparses them, not as text."""

from typing import Any

from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Index

from pgmodern.indexes import DeclaredIndex
from pgmodern.indexes.catalogue import declared, existing


def differences(connection: Any, index: Index) -> list[str]:
    """Say in which respects the catalogue's index differs from the declared one."""
    assert index.name is not None
    assert index.table is not None
    there = existing(connection, index.name, index.table.schema)
    if there is None:
        return ["missing"]
    wanted = declared(connection, index)
    return [
        f"{field}: {getattr(there, field)!r} instead of {getattr(wanted, field)!r}"
        for field in there.__slots__
        if getattr(there, field) != getattr(wanted, field)
    ]


class Implementation(PostgresqlImpl):
    """Alembic's PostgreSQL implementation, but for the comparison of declared indexes.

    Alembic takes the last class defined for a dialect, so importing this module registers it.
    """

    __dialect__ = "postgresql"

    def compare_indexes(self, metadata_index: Index, reflected_index: Index) -> Any:
        """Compare a declared index by its catalogue entry, any other as Alembic does."""
        plain = super().compare_indexes(metadata_index, reflected_index)
        if not isinstance(metadata_index, DeclaredIndex):
            return plain
        found = differences(self.connection, metadata_index)
        return type(plain).Different(found) if found else type(plain).Equal()
