"""`op.add_search_vector_online` and `op.drop_search_vector_online`."""

from __future__ import annotations

from collections.abc import Mapping

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import CreateIndexOp
from sqlalchemy import Connection, column, table

from pgmodern.backfill import Backfill
from pgmodern.indexes.catalogue import quoted
from pgmodern.indexes.fulltext import SIMPLE_UNACCENT, Weight, document
from pgmodern.locks import execute_briefly
from pgmodern.operations.backfill import BackfillOnline, run_online
from pgmodern.operations.index import CreateIndexOnline, create
from pgmodern.operations.literal import DIALECT, run_or_write
from pgmodern.operations.names import derived, fitting
from pgmodern.operations.rendering import call
from pgmodern.unfinished import forget


class AddSearchVectorOnline(MigrateOperation):
    """Add a tsvector column, the trigger that keeps it, what it should hold by now, and its GIN.

    ACCESS EXCLUSIVE for the instant it takes to add a nullable column and the trigger; then the
    rows of one batch at a time; then an index, as `op.create_index_online` builds it. Not a
    generated column: that would rewrite the table under ACCESS EXCLUSIVE. Each step looks at the
    catalogue first, so it can be killed and run again.
    """

    def __init__(
        self,
        table_name: str,
        column_name: str,
        sources: Mapping[str, Weight],
        configuration: str,
        key: str,
        key_type: str,
        schema: str | None = None,
        index_name: str | None = None,
    ) -> None:
        self.table_name = table_name
        self.column_name = column_name
        self.sources = sources
        self.configuration = configuration
        self.key = key
        self.key_type = key_type
        self.schema = schema
        self.index_name = index_name or fitting(f"ix_{table_name}_{column_name}")

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
        return DropSearchVectorOnline(self.table_name, self.column_name, self.schema, self)

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

    def document(self, row: str | None = None) -> str:
        """The SQL of the search vector of a row: of the table's, or of the variable `row`'s."""
        source = table(row, *map(column, self.sources)) if row else None
        columns = [(source.c[n] if source is not None else column(n)) for n in self.sources]
        expression = document(
            list(zip(columns, self.sources.values(), strict=True)), self.configuration
        )
        return str(expression.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))

    def definitions(self) -> tuple[str, ...]:
        """The statements that make column and trigger; all are repeatable."""
        name = quoted(self.table_name, self.schema)
        # A row whose key changes may pass the backfill by.
        sources = ", ".join(map(quoted, dict.fromkeys([*self.sources, self.key])))
        trigger = _trigger_name(self.table_name, self.column_name)
        function = quoted(trigger, self.schema)
        return (
            # ACCESS EXCLUSIVE; instant, as the column is nullable and has no default
            f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {quoted(self.column_name)} tsvector",
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            f"BEGIN\n    NEW.{quoted(self.column_name)} := {self.document('new')};\n"
            "    RETURN NEW;\nEND\n$$",
            # SHARE ROW EXCLUSIVE
            f"CREATE OR REPLACE TRIGGER {quoted(trigger)} BEFORE INSERT OR UPDATE OF {sources} "
            f"ON {name} FOR EACH ROW EXECUTE FUNCTION {function}()",
        )

    def backfill(self) -> Backfill:
        """The backfill of the rows that were there before the trigger."""
        name, target = quoted(self.table_name, self.schema), quoted(self.column_name)
        return Backfill(
            name=_backfill_name(self.table_name, self.column_name, self.schema),
            table=self.table_name,
            schema=self.schema,
            key=self.key,
            key_type=self.key_type,
            statement=f"UPDATE {name} SET {target} = {self.document()} "
            f"WHERE {{range}} AND {target} IS DISTINCT FROM {self.document()}",
        )


class DropSearchVectorOnline(MigrateOperation):
    """Drop a search vector's trigger, function, column and index.

    ACCESS EXCLUSIVE for an instant.
    """

    def __init__(
        self,
        table_name: str,
        column_name: str,
        schema: str | None = None,
        dropped: AddSearchVectorOnline | None = None,
    ) -> None:
        self.table_name = table_name
        self.column_name = column_name
        self.schema = schema
        self.dropped = dropped

    @classmethod
    def drop_search_vector_online(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        schema: str | None = None,
    ) -> None:
        """Drop what `op.add_search_vector_online` added."""
        operations.invoke(cls(table_name, column_name, schema))

    def reverse(self) -> AddSearchVectorOnline:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.dropped is None:
            raise ValueError(f"what {self.table_name}.{self.column_name} was is not known")
        return self.dropped

    def definitions(self) -> tuple[str, ...]:
        """The statements; all are repeatable."""
        name = quoted(self.table_name, self.schema)
        trigger = _trigger_name(self.table_name, self.column_name)
        return (
            # ACCESS EXCLUSIVE for both; the index goes with its column
            f"DROP TRIGGER IF EXISTS {quoted(trigger)} ON {name}",
            f"ALTER TABLE {name} DROP COLUMN IF EXISTS {quoted(self.column_name)}",
            f"DROP FUNCTION IF EXISTS {quoted(trigger, self.schema)}()",
        )


def _backfill_name(table_name: str, column_name: str, schema: str | None) -> str:
    return ".".join([*([schema] if schema else []), table_name, column_name])


def _trigger_name(table_name: str, column_name: str) -> str:
    return derived(f"{table_name}_{column_name}", "", table_name, column_name)


def _add(operations: Operations, operation: AddSearchVectorOnline) -> None:
    definitions = operation.definitions()
    run_or_write(
        operations, lambda connection: execute_briefly(connection, *definitions), definitions
    )
    run_online(operations, BackfillOnline(operation.backfill()))
    create(operations, operation.index)


def _drop(operations: Operations, operation: DropSearchVectorOnline) -> None:
    names = operation.table_name, operation.column_name, operation.schema

    def run(connection: Connection) -> None:
        execute_briefly(connection, *operation.definitions())
        forget(connection, _backfill_name(*names))

    run_or_write(operations, run, operation.definitions())


def _render_add(context: AutogenContext, operation: AddSearchVectorOnline) -> str:
    return call(
        context,
        "add_search_vector_online",
        operation.table_name,
        operation.column_name,
        dict(operation.sources),
        configuration=operation.configuration,
        key=operation.key,
        key_type=operation.key_type,
        schema=operation.schema,
        index_name=operation.index_name,
    )


def _render_drop(context: AutogenContext, operation: DropSearchVectorOnline) -> str:
    given = operation.table_name, operation.column_name
    return call(context, "drop_search_vector_online", *given, schema=operation.schema)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("add_search_vector_online")(AddSearchVectorOnline)
    Operations.register_operation("drop_search_vector_online")(DropSearchVectorOnline)
    Operations.implementation_for(AddSearchVectorOnline)(_add)
    Operations.implementation_for(DropSearchVectorOnline)(_drop)
    renderers.dispatch_for(AddSearchVectorOnline)(_render_add)
    renderers.dispatch_for(DropSearchVectorOnline)(_render_drop)
