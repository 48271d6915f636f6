"""`op.add_search_vector_online` and `op.drop_search_vector_online`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from alembic.operations import MigrateOperation, Operations
from sqlalchemy import Dialect, column, table
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from pgmodern.backfill import Backfill, forget
from pgmodern.indexes.catalogue import quoted
from pgmodern.indexes.fulltext import SIMPLE_UNACCENT, Weight, document
from pgmodern.locks import execute_briefly
from pgmodern.operations.backfill import BackfillOnline, run_online
from pgmodern.operations.literal import execute

_NAME_BYTES = 63
_DIALECT: Dialect = PGDialect_psycopg(paramstyle="named")  # type: ignore[no-untyped-call]


class AddSearchVectorOnline(MigrateOperation):
    """Add a tsvector column, the trigger that keeps it, and what it should hold by now.

    ACCESS EXCLUSIVE for the instant it takes to add a nullable column and the trigger; then the
    rows of one batch at a time. Not a generated column: that would rewrite the table under ACCESS
    EXCLUSIVE. Each step looks at the catalogue first, so it can be killed and run again.
    """

    def __init__(
        self,
        table_name: str,
        column_name: str,
        sources: Mapping[str, Weight],
        configuration: str,
        key: str,
        key_type: str,
    ) -> None:
        self.table_name = table_name
        self.column_name = column_name
        self.sources = sources
        self.configuration = configuration
        self.key = key
        self.key_type = key_type

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
    ) -> None:
        """Add a search vector over the source columns, each with its weight."""
        operations.invoke(cls(table_name, column_name, sources, configuration, key, key_type))

    def reverse(self) -> DropSearchVectorOnline:
        """Return the operation that undoes this one."""
        return DropSearchVectorOnline(self.table_name, self.column_name)

    @property
    def trigger(self) -> str:
        """The quoted name of the trigger and of its function."""
        return _trigger_name(self.table_name, self.column_name)

    def document(self, row: str | None = None) -> str:
        """The SQL of the search vector of a row: of the table's, or of the variable `row`'s."""
        source = table(row, *map(column, self.sources)) if row else None
        columns = [(source.c[n] if source is not None else column(n)) for n in self.sources]
        expression = document(
            list(zip(columns, self.sources.values(), strict=True)), self.configuration
        )
        return str(expression.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))

    def definitions(self) -> tuple[str, ...]:
        """The statements that make column and trigger; all are repeatable."""
        name, sources = quoted(self.table_name), ", ".join(map(quoted, self.sources))
        return (
            # ACCESS EXCLUSIVE; instant, as the column is nullable and has no default
            f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {quoted(self.column_name)} tsvector",
            f"CREATE OR REPLACE FUNCTION {self.trigger}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            f"BEGIN\n    NEW.{quoted(self.column_name)} := {self.document('new')};\n"
            "    RETURN NEW;\nEND\n$$",
            # SHARE ROW EXCLUSIVE
            f"CREATE OR REPLACE TRIGGER {self.trigger} BEFORE INSERT OR UPDATE OF {sources} "
            f"ON {name} FOR EACH ROW EXECUTE FUNCTION {self.trigger}()",
        )

    def backfill(self) -> Backfill:
        """The backfill of the rows that were there before the trigger."""
        target = quoted(self.column_name)
        return Backfill(
            name=_backfill_name(self.table_name, self.column_name),
            table=self.table_name,
            key=self.key,
            key_type=self.key_type,
            statement=f"UPDATE {quoted(self.table_name)} SET {target} = {self.document()} "
            f"WHERE {{range}} AND {target} IS NULL",
        )


class DropSearchVectorOnline(MigrateOperation):
    """Drop a search vector's trigger, function and column; ACCESS EXCLUSIVE for an instant."""

    def __init__(self, table_name: str, column_name: str) -> None:
        self.table_name = table_name
        self.column_name = column_name

    @classmethod
    def drop_search_vector_online(
        cls, operations: Operations, table_name: str, column_name: str
    ) -> None:
        """Drop what `op.add_search_vector_online` added."""
        operations.invoke(cls(table_name, column_name))

    def definitions(self) -> tuple[str, ...]:
        """The statements; all are repeatable."""
        name = quoted(self.table_name)
        trigger = _trigger_name(self.table_name, self.column_name)
        return (
            # ACCESS EXCLUSIVE for both
            f"DROP TRIGGER IF EXISTS {trigger} ON {name}",
            f"ALTER TABLE {name} DROP COLUMN IF EXISTS {quoted(self.column_name)}",
            f"DROP FUNCTION IF EXISTS {trigger}()",
        )


def _backfill_name(table_name: str, column_name: str) -> str:
    return f"{table_name}.{column_name}"


def _trigger_name(table_name: str, column_name: str) -> str:
    whole = f"{table_name}_{column_name}".encode()
    # The digest tells a_b.c from a.b_c, and long names that start alike.
    digest = hashlib.sha256(f"{table_name}\0{column_name}".encode()).hexdigest()[:8]
    return quoted(f"{whole[: _NAME_BYTES - 9].decode(errors='ignore')}_{digest}")


def _run(operations: Operations, definitions: tuple[str, ...]) -> None:
    context = operations.migration_context
    with context.autocommit_block():
        if context.as_sql:
            for statement in definitions:
                execute(operations, statement)
        else:
            execute_briefly(operations.get_bind(), *definitions)


def _add(operations: Operations, operation: AddSearchVectorOnline) -> None:
    _run(operations, operation.definitions())
    run_online(operations, BackfillOnline(operation.backfill()))


def _drop(operations: Operations, operation: DropSearchVectorOnline) -> None:
    _run(operations, operation.definitions())
    context = operations.migration_context
    if not context.as_sql:
        with context.autocommit_block():
            forget(
                operations.get_bind(), _backfill_name(operation.table_name, operation.column_name)
            )


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("add_search_vector_online")(AddSearchVectorOnline)
    Operations.register_operation("drop_search_vector_online")(DropSearchVectorOnline)
    Operations.implementation_for(AddSearchVectorOnline)(_add)
    Operations.implementation_for(DropSearchVectorOnline)(_drop)
