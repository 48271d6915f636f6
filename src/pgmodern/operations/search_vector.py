"""`op.add_search_vector_online`, what changes and drops one, and the same for a new table."""

from __future__ import annotations

from collections.abc import Mapping

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp
from sqlalchemy import Connection

from pgmodern.errors import MigrationError
from pgmodern.indexes.fulltext import SIMPLE_UNACCENT
from pgmodern.indexes.search_vector import Weight, dropping
from pgmodern.locks import driver, execute_briefly
from pgmodern.operations.backfill import BackfillOnline, run_online
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.index import CreateIndexOnline, create
from pgmodern.operations.literal import execute, run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.operations.tsvector_column import TsvectorColumn, backfill_name
from pgmodern.quoting import quoted, string
from pgmodern.unfinished import forget


class AddSearchVectorOnline(TsvectorColumn):
    """Add a tsvector column, the trigger that keeps it, what it should hold by now, and its GIN.

    ACCESS EXCLUSIVE for the instant it takes to add a nullable column and the trigger; then the
    rows of one batch at a time; then an index, as `op.create_index_online` builds it. Not a
    generated column: that would rewrite the table under ACCESS EXCLUSIVE. Each step looks at the
    catalogue first, so it can be killed and run again. `kept_column` tells that the column was
    there before, and is to stay on the way back.
    """

    kept_column = False

    @classmethod
    def add_search_vector_online(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        sources: Mapping[str, Weight],
        *,
        configuration: str = SIMPLE_UNACCENT,
        key: str = "id",
        key_type: str = "bigint",
        schema: str | None = None,
        index_name: str | None = None,
    ) -> None:
        """Add a search vector over the source columns, each with its weight.

        `index_name` is `ix_<table>_<column>` unless given.
        """
        operations.invoke(
            cls(table_name, column_name, sources, configuration, key, key_type, schema, index_name)
        )

    def reverse(self) -> DropSearchVectorOnline:
        """Return the operation that undoes this one."""
        given = self.table_name, self.column_name, self.schema
        return DropSearchVectorOnline(*given, self, keep_column=self.kept_column)

    @property
    def index(self) -> CreateIndexOnline:
        """The operation that builds the index."""
        options = {"postgresql_using": "gin", "postgresql_concurrently": True}
        return CreateIndexOnline(
            CreateIndexOp(
                self.index_name,
                self.table_name,
                [self.column_name],
                schema=self.schema,
                **options,  # type: ignore[arg-type]
            )
        )


class ReplaceSearchVectorOnline(TsvectorColumn):
    """Have a search vector hold other columns, weights or words; its index serves all the time.

    SHARE ROW EXCLUSIVE for an instant, to replace the trigger; then the rows of one batch at a
    time: until it ends, some hold what they held before. Raises MigrationError when the column is
    not there. `replaced` is what was there, for the way back.
    """

    replaced: TsvectorColumn | None = None

    @classmethod
    def replace_search_vector_online(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        sources: Mapping[str, Weight],
        *,
        configuration: str = SIMPLE_UNACCENT,
        key: str = "id",
        key_type: str = "bigint",
        schema: str | None = None,
    ) -> None:
        """Replace what a search vector is made of; takes what its addition takes."""
        operations.invoke(
            cls(table_name, column_name, sources, configuration, key, key_type, schema)
        )

    def reverse(self) -> ReplaceSearchVectorOnline | ByHand:
        """Return the operation that undoes this one; a comment when it is not known what was."""
        if self.replaced is None:
            return _not_known(self.table_name, self.column_name)
        back = ReplaceSearchVectorOnline.of(self.replaced)
        back.replaced = self
        return back

    def definitions(self) -> tuple[str, ...]:
        """The statements that replace function and trigger; all are repeatable."""
        _column, *trigger = super().definitions()
        return tuple(trigger)


class DropSearchVectorOnline(Operation):
    """Drop a search vector's trigger, function, column and index.

    ACCESS EXCLUSIVE for an instant.
    """

    def __init__(
        self,
        table_name: str,
        column_name: str,
        schema: str | None = None,
        dropped: AddSearchVectorOnline | None = None,
        *,
        keep_column: bool = False,
    ) -> None:
        self.table_name = table_name
        self.column_name = column_name
        self.schema = schema
        self.dropped = dropped
        self.keep_column = keep_column

    @classmethod
    def drop_search_vector_online(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        keep_column: bool = False,
        schema: str | None = None,
    ) -> None:
        """Drop what `op.add_search_vector_online` added, all but the column with `keep_column`."""
        operations.invoke(cls(table_name, column_name, schema, keep_column=keep_column))

    def reverse(self) -> AddSearchVectorOnline | ByHand:
        """Return the operation that undoes this one; a comment when it is not known what was."""
        if self.dropped is None:
            return _not_known(self.table_name, self.column_name)
        return self.dropped

    def definitions(self) -> tuple[str, ...]:
        """The statements; all are repeatable."""
        trigger, function = _dropping(self)
        if self.keep_column:
            return trigger, function
        name = quoted(self.table_name, self.schema)
        # ACCESS EXCLUSIVE for both; the index goes with its column
        column = f"ALTER TABLE {name} DROP COLUMN IF EXISTS {quoted(self.column_name)}"
        return trigger, column, function


class AddSearchVector(TsvectorColumn):
    """Add the column and the trigger of a search vector to a table without rows; transactional.

    For a table that is created in the same revision: there is nothing to fill, and its index is
    `op.create_index`'s. A column that is there is taken for filled. ACCESS EXCLUSIVE.
    """

    @classmethod
    def add_search_vector(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        sources: Mapping[str, Weight],
        *,
        configuration: str = SIMPLE_UNACCENT,
        key: str = "id",
        schema: str | None = None,
    ) -> None:
        """Add a search vector; the server refuses to add the column to a table with rows."""
        operations.invoke(cls(table_name, column_name, sources, configuration, key, "", schema))

    def reverse(self) -> DropSearchVector:
        """Return the operation that undoes this one."""
        return DropSearchVector(self.table_name, self.column_name, self.schema, self)


class DropSearchVector(Operation):
    """Drop the trigger and the function of a search vector, before its table; transactional.

    ACCESS EXCLUSIVE.
    """

    def __init__(
        self,
        table_name: str,
        column_name: str,
        schema: str | None = None,
        dropped: AddSearchVector | None = None,
    ) -> None:
        self.table_name = table_name
        self.column_name = column_name
        self.schema = schema
        self.dropped = dropped

    @classmethod
    def drop_search_vector(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        schema: str | None = None,
    ) -> None:
        """Drop trigger and function, if they are there."""
        operations.invoke(cls(table_name, column_name, schema))

    def reverse(self) -> AddSearchVector | ByHand:
        """Return the operation that undoes this one; a comment when it is not known what was."""
        if self.dropped is None:
            return _not_known(self.table_name, self.column_name)
        return self.dropped


def _not_known(table_name: str, column_name: str) -> ByHand:
    return ByHand(
        f"{table_name}.{column_name}",
        "not brought back: its trigger had been changed by hand, or the table has no key.",
    )


def _dropping(operation: DropSearchVector | DropSearchVectorOnline) -> tuple[str, str]:
    return dropping(operation.table_name, operation.column_name, operation.schema)


def _refuse_rows(operation: AddSearchVector) -> str:
    table = quoted(operation.table_name, operation.schema)
    return f"""DO $empty$
BEGIN
    IF {operation.is_missing} AND EXISTS (SELECT FROM {table}) THEN
        RAISE EXCEPTION 'table % holds rows: use op.add_search_vector_online', {string(table)};
    END IF;
END
$empty$"""


def _add(operations: Operations, operation: AddSearchVectorOnline) -> None:
    definitions = operation.definitions()
    run_or_write(
        operations, lambda connection: execute_briefly(connection, *definitions), definitions
    )
    run_online(operations, BackfillOnline(operation.backfill()))
    create(operations, operation.index)


def _replace(operations: Operations, operation: ReplaceSearchVectorOnline) -> None:
    definitions = operation.definitions()

    def run(connection: Connection) -> None:
        row = driver(connection).execute(f"SELECT {operation.is_missing}".encode()).fetchone()
        if row == (True,):
            raise MigrationError(
                f"{operation.table_name} has no column {operation.column_name}.",
                "Call op.add_search_vector_online, which adds it and its index.",
            )
        execute_briefly(connection, *definitions)

    run_or_write(operations, run, [_refuse_missing(operation), *definitions])
    run_online(operations, BackfillOnline(operation.backfill()))


def _refuse_missing(operation: ReplaceSearchVectorOnline) -> str:
    return f"""DO $missing$
BEGIN
    IF {operation.is_missing} THEN
        RAISE EXCEPTION '% has no column %: use op.add_search_vector_online',
            {string(operation.table_name)}, {string(operation.column_name)};
    END IF;
END
$missing$"""


def _drop(operations: Operations, operation: DropSearchVectorOnline) -> None:
    names = operation.table_name, operation.column_name, operation.schema

    def run(connection: Connection) -> None:
        execute_briefly(connection, *operation.definitions())
        forget(connection, backfill_name(*names))

    run_or_write(operations, run, operation.definitions())


def _add_at_once(operations: Operations, operation: AddSearchVector) -> None:
    for statement in (_refuse_rows(operation), *operation.definitions()):
        execute(operations, statement)


def _drop_at_once(operations: Operations, operation: DropSearchVector) -> None:
    for statement in _dropping(operation):
        execute(operations, statement)


def _render_add(context: AutogenContext, operation: AddSearchVectorOnline) -> str:
    return _render(
        context,
        "add_search_vector_online",
        operation,
        key_type=operation.key_type,
        schema=operation.schema,
        index_name=operation.index_name,
    )


def _render_replace(context: AutogenContext, operation: ReplaceSearchVectorOnline) -> str:
    options = {"key_type": operation.key_type, "schema": operation.schema}
    return _render(context, "replace_search_vector_online", operation, **options)


def _render_add_at_once(context: AutogenContext, operation: AddSearchVector) -> str:
    return _render(context, "add_search_vector", operation, schema=operation.schema)


def _render(
    context: AutogenContext, directive: str, operation: TsvectorColumn, **options: object
) -> str:
    return call(
        context,
        directive,
        operation.table_name,
        operation.column_name,
        dict(operation.sources),
        configuration=operation.configuration,
        key=operation.key,
        **options,
    )


def _render_drop(context: AutogenContext, operation: DropSearchVectorOnline) -> str:
    given = operation.table_name, operation.column_name
    kept = operation.keep_column or None
    return call(
        context, "drop_search_vector_online", *given, keep_column=kept, schema=operation.schema
    )


def _render_drop_at_once(context: AutogenContext, operation: DropSearchVector) -> str:
    given = operation.table_name, operation.column_name
    return call(context, "drop_search_vector", *given, schema=operation.schema)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("add_search_vector_online")(AddSearchVectorOnline)
    Operations.register_operation("replace_search_vector_online")(ReplaceSearchVectorOnline)
    Operations.register_operation("drop_search_vector_online")(DropSearchVectorOnline)
    Operations.register_operation("add_search_vector")(AddSearchVector)
    Operations.register_operation("drop_search_vector")(DropSearchVector)
    Operations.implementation_for(AddSearchVectorOnline)(_add)
    Operations.implementation_for(ReplaceSearchVectorOnline)(_replace)
    Operations.implementation_for(DropSearchVectorOnline)(_drop)
    Operations.implementation_for(AddSearchVector)(_add_at_once)
    Operations.implementation_for(DropSearchVector)(_drop_at_once)
    renderers.dispatch_for(AddSearchVectorOnline)(_render_add)
    renderers.dispatch_for(ReplaceSearchVectorOnline)(_render_replace)
    renderers.dispatch_for(DropSearchVectorOnline)(_render_drop)
    renderers.dispatch_for(AddSearchVector)(_render_add_at_once)
    renderers.dispatch_for(DropSearchVector)(_render_drop_at_once)
