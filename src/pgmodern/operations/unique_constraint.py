"""`op.add_unique_constraint_online`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp
from sqlalchemy import Connection

from pgmodern.locks import execute_briefly
from pgmodern.operations.constraint import (
    Constraint,
    DropConstraintOnline,
    differing,
    existing,
    is_there,
    on_a_copy,
    refusal_script,
)
from pgmodern.operations.index import CreateIndexOnline, build, build_script
from pgmodern.operations.literal import run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import quoted


class AddUniqueConstraintOnline(Operation):
    """Add a UNIQUE constraint while the table is read and written.

    Its index is built first, as `op.create_index_online` does; then ACCESS EXCLUSIVE for an
    instant, to make the index the constraint's. One with the same definition that is there is left
    as it is. Raises MigrationError when there is another of that name, and when rows stand against
    it: no index is left then. An index that was built and could not be made the constraint's stays
    for the next run. Not for a partitioned table, whose index cannot be built CONCURRENTLY.
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
    def constraint(self) -> Constraint:
        """What is added."""
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        include = f" INCLUDE ({_listed(self.include)})" if self.include else ""
        definition = f"UNIQUE{nulls} ({_listed(self.columns)}){include}{self._checked}"
        preparation, declared = on_a_copy(self.table_name, self.schema, definition, "u")
        return Constraint(self.constraint_name, definition, declared, preparation=preparation)

    @property
    def addition(self) -> str:
        """The statement that makes the index the constraint's."""
        name = quoted(self.constraint_name)
        # ACCESS EXCLUSIVE, for an instant
        return f"ALTER TABLE {self.table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}" + (
            self._checked
        )

    @property
    def _checked(self) -> str:
        """When it is checked: with every statement, or with the transaction."""
        deferrable = " DEFERRABLE" if self.deferrable else ""
        return deferrable + (f" INITIALLY {self.initially}" if self.initially else "")


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(quoted, columns))


def _add(operations: Operations, operation: AddUniqueConstraintOnline) -> None:
    table, constraint = operation.table, operation.constraint
    context = operations.migration_context

    def run(connection: Connection) -> None:
        there = existing(connection, table, constraint.name)
        if there is None:
            build(connection, operation.index.index, context)
            execute_briefly(connection, operation.addition)
        elif error := differing(connection, table, constraint, there):
            raise error

    run_or_write(operations, run, _script(operations, operation))


def _script(operations: Operations, operation: AddUniqueConstraintOnline) -> Iterator[str]:
    there = is_there(operation.table, operation.constraint_name)
    exists = f"EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE {there})"
    yield refusal_script(operation.table, operation.constraint)
    yield from build_script(operations, operation.index)
    yield f"DO $unique$ BEGIN IF NOT {exists} THEN {operation.addition}; END IF; END $unique$"


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
