"""What autogenerate sees of PostgreSQL beyond Alembic, one comparator per file."""

from functools import cache

from pgmodern.autogenerate import indexes


@cache
def register() -> None:
    """Add the comparators to Alembic; once a process."""
    indexes.register()
