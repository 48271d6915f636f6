"""Alembic operations for a live database, one per file.

An operation whose name ends in `_online` runs outside a transaction, commits as it goes and can be
killed at any statement: run again, it goes on from what the catalogue shows.
"""

from functools import cache

from pgmodern.operations import (
    adopt_table,
    backfill,
    by_hand,
    change_column_type,
    change_notification,
    check_constraint,
    column_expression,
    constraint,
    extension,
    foreign_key,
    index,
    not_null,
    partition_table,
    search_vector,
    text_search_configuration,
    unique_constraint,
)


@cache
def register() -> None:
    """Add the operations to Alembic's `op`; once a process."""
    for module in (
        extension,
        adopt_table,
        text_search_configuration,
        backfill,
        index,
        search_vector,
        change_column_type,
        constraint,
        check_constraint,
        foreign_key,
        not_null,
        partition_table,
        change_notification,
        column_expression,
        unique_constraint,
        by_hand,
    ):
        module.register()
