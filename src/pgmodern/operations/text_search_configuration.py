"""`op.create_text_search_configuration` and `op.drop_text_search_configuration`."""

from __future__ import annotations

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from psycopg.errors import DependentObjectsStillExist
from sqlalchemy.exc import DBAPIError

from pgmodern.errors import MigrationError
from pgmodern.indexes.fulltext import configuration_sql
from pgmodern.operations.literal import execute
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import string


class CreateTextSearchConfiguration(Operation):
    """Create a text search configuration that ignores accents; transactional, locks no table.

    It copies another one and lets `unaccent` see each word first (manual, F.48 unaccent). Unlike
    the function unaccent(), `to_tsvector` with a named configuration is immutable, so an index
    and a trigger may use it.
    """

    def __init__(self, name: str, copy: str, dictionary: str) -> None:
        self.name = name
        self.copy = copy
        self.dictionary = dictionary

    @classmethod
    def create_text_search_configuration(
        cls,
        operations: Operations,
        name: str,
        *,
        copy: str = "pg_catalog.simple",
        dictionary: str = "pg_catalog.simple",
    ) -> None:
        """Create a configuration whose words pass `unaccent`, then the dictionary."""
        operations.invoke(cls(name, copy, dictionary))

    def reverse(self) -> DropTextSearchConfiguration:
        """Return the operation that undoes this one."""
        return DropTextSearchConfiguration(self.name, self)


class DropTextSearchConfiguration(Operation):
    """Drop a text search configuration; MigrationError while an index or a function uses it."""

    def __init__(self, name: str, dropped: CreateTextSearchConfiguration | None = None) -> None:
        self.name = name
        self.dropped = dropped

    @classmethod
    def drop_text_search_configuration(cls, operations: Operations, name: str) -> None:
        """Drop a text search configuration."""
        operations.invoke(cls(name))

    def reverse(self) -> CreateTextSearchConfiguration:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.dropped is None:
            raise ValueError(f"what {self.name} was is not known")
        return self.dropped


def _create(operations: Operations, operation: CreateTextSearchConfiguration) -> None:
    for statement in configuration_sql(operation.name, operation.copy, operation.dictionary):
        operations.execute(statement)


def _drop(operations: Operations, operation: DropTextSearchConfiguration) -> None:
    try:
        execute(operations, _refuse_while_used(operation.name))
        execute(operations, f"DROP TEXT SEARCH CONFIGURATION {operation.name}")
    except DBAPIError as error:
        if not isinstance(error.orig, DependentObjectsStillExist):
            raise
        raise MigrationError(
            f"The text search configuration is still used: {error.orig}",
            "Drop what uses it first. If an upgrade stopped on the way, finish it, or stamp the "
            "revision that it stopped in; then downgrade again.",
        ) from error


def _refuse_while_used(name: str) -> str:
    """PostgreSQL knows which indexes use a configuration, but not which functions do."""
    return f"""DO $used$
DECLARE
    users text := (SELECT string_agg(oid::regprocedure::text, ', ')
                   FROM pg_catalog.pg_proc WHERE position({string(name)} IN prosrc) > 0);
BEGIN
    IF users IS NOT NULL THEN
        RAISE EXCEPTION 'functions use {name}: %', users
            USING ERRCODE = 'dependent_objects_still_exist';
    END IF;
END
$used$"""


def _render_create(context: AutogenContext, operation: CreateTextSearchConfiguration) -> str:
    options = {"copy": operation.copy, "dictionary": operation.dictionary}
    return call(context, "create_text_search_configuration", operation.name, **options)


def _render_drop(context: AutogenContext, operation: DropTextSearchConfiguration) -> str:
    return call(context, "drop_text_search_configuration", operation.name)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("create_text_search_configuration")(CreateTextSearchConfiguration)
    Operations.register_operation("drop_text_search_configuration")(DropTextSearchConfiguration)
    Operations.implementation_for(CreateTextSearchConfiguration)(_create)
    Operations.implementation_for(DropTextSearchConfiguration)(_drop)
    renderers.dispatch_for(CreateTextSearchConfiguration)(_render_create)
    renderers.dispatch_for(DropTextSearchConfiguration)(_render_drop)
