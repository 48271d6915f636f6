"""Alembic projects: one that is laid down, and one that is there and is to use pgmodern."""
