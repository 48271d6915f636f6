"""`op.add_unique_constraint_online`."""

from __future__ import annotations

from collections.abc import Sequence

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp
from sqlalchemy import Connection

from pgmodern.indexes.catalogue import quoted
from pgmodern.locks import driver, execute_briefly
from pgmodern.operations.constraint import DropConstraintOnline, is_there
from pgmodern.operations.index import CreateIndexOnline, create
from pgmodern.operations.literal import run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call


class AddUniqueConstraintOnline(Operation):
    """Add a UNIQUE constraint while the table is read and written.

    Its index is built first, as `op.create_index_online` does; then ACCESS EXCLUSIVE for an
    instant, to make the index the constraint's. Raises MigrationError when rows stand against it.
    Manual: ALTER TABLE, ADD table_constraint_using_index.
    """

    def __init__(
        self,
        constraint_name: str,
        table_name: str,
        columns: Sequence[str],
        schema: str | None = None,
        *,
        nulls_not_distinct: bool = False,
        include: Sequence[str] = (),
        deferrable: bool = False,
        initially: str | None = None,
    ) -> None:
        self.constraint_name = constraint_name
        self.table_name = table_name
        self.columns = list(columns)
        self.schema = schema
        self.nulls_not_distinct = nulls_not_distinct
        self.include = list(include)
        self.deferrable = deferrable
        self.initially = initially

    @classmethod
    def add_unique_constraint_online(
        cls,
        operations: Operations,
        constraint_name: str,
        table_name: str,
        columns: Sequence[str],
        *,
        nulls_not_distinct: bool = False,
        include: Sequence[str] = (),
        deferrable: bool = False,
        initially: str | None = None,
        schema: str | None = None,
    ) -> None:
        """Add a constraint on columns of which no two rows may have the same values."""
        operations.invoke(
            cls(
                constraint_name,
                table_name,
                columns,
                schema,
                nulls_not_distinct=nulls_not_distinct,
                include=include,
                deferrable=deferrable,
                initially=initially,
            )
        )

    def reverse(self) -> DropConstraintOnline:
        """Return the operation that undoes this one."""
        return DropConstraintOnline(self.constraint_name, self.table_name, self.schema, self)

    @property
    def table(self) -> str:
        """The quoted name of the table."""
        return quoted(self.table_name, self.schema)

    @property
    def index(self) -> CreateIndexOnline:
        """The operation that builds the index."""
        options: dict[str, object] = {"postgresql_concurrently": True}
        if self.nulls_not_distinct:
            options["postgresql_nulls_not_distinct"] = True
        if self.include:
            options["postgresql_include"] = self.include
        index = CreateIndexOp(
            self.constraint_name,
            self.table_name,
            self.columns,
            schema=self.schema,
            unique=True,
            **options,  # type: ignore[arg-type]
        )
        return CreateIndexOnline(index)

    @property
    def exists(self) -> str:
        """The SQL condition of the constraint being there."""
        there = is_there(self.table, self.constraint_name)
        return f"EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE {there})"

    @property
    def addition(self) -> str:
        """The statement that makes the index the constraint's."""
        name = quoted(self.constraint_name)
        deferrable = " DEFERRABLE" if self.deferrable else ""
        initially = f" INITIALLY {self.initially}" if self.initially else ""
        # ACCESS EXCLUSIVE, for an instant
        return (
            f"ALTER TABLE {self.table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}"
            f"{deferrable}{initially}"
        )


def _add(operations: Operations, operation: AddUniqueConstraintOnline) -> None:
    create(operations, operation.index)

    def run(connection: Connection) -> None:
        row = driver(connection).execute(f"SELECT {operation.exists}".encode()).fetchone()
        if row != (True,):
            execute_briefly(connection, operation.addition)

    unless = f"IF NOT {operation.exists} THEN {operation.addition}; END IF"
    run_or_write(operations, run, [f"DO $unique$ BEGIN {unless}; END $unique$"])


def _render(context: AutogenContext, operation: AddUniqueConstraintOnline) -> str:
    return call(
        context,
        "add_unique_constraint_online",
        operation.constraint_name,
        operation.table_name,
        operation.columns,
        nulls_not_distinct=operation.nulls_not_distinct or None,
        include=operation.include or None,
        deferrable=operation.deferrable or None,
        initially=operation.initially,
        schema=operation.schema,
    )


def register() -> None:
    """Add the directive to `op`, and its renderer to autogenerate."""
    Operations.register_operation("add_unique_constraint_online")(AddUniqueConstraintOnline)
    Operations.implementation_for(AddUniqueConstraintOnline)(_add)
    renderers.dispatch_for(AddUniqueConstraintOnline)(_render)
