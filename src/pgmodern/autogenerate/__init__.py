"""What autogenerate sees of PostgreSQL beyond Alembic, one comparator per file."""

from functools import cache

from pgmodern.autogenerate import indexes, partitions


@cache
def register() -> None:
    """Add the comparators to Alembic; once a process."""
    indexes.register()
    partitions.register()
