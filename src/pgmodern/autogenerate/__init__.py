"""What autogenerate sees of PostgreSQL beyond Alembic, one comparator per file."""

from pgmodern.autogenerate import indexes as indexes
