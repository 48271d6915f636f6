"""Declared indexes are compared as PostgreSQL deparses them, not as text."""

from typing import Any

from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Index

from pgmodern.indexes import DeclaredIndex
from pgmodern.indexes.catalogue import differences


class Implementation(PostgresqlImpl):
    """Alembic's PostgreSQL implementation, but for the comparison of declared indexes."""

    def compare_indexes(self, metadata_index: Index, reflected_index: Index) -> Any:
        """Compare a declared index by its catalogue entry, any other as Alembic does."""
        plain = super().compare_indexes(metadata_index, reflected_index)
        if not isinstance(metadata_index, DeclaredIndex):
            return plain
        assert self.connection is not None
        found = differences(self.connection, metadata_index)
        return type(plain).Different(found) if found else type(plain).Equal()


def register() -> None:
    """Have Alembic compare with it: it takes the last class defined for a dialect."""
    type("PostgresqlImpl", (Implementation,), {"__dialect__": "postgresql"})
