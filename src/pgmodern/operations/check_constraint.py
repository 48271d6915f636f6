"""`op.add_check_constraint_online`."""

from __future__ import annotations

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations

from pgmodern.indexes.catalogue import quoted
from pgmodern.operations.constraint import (
    Constraint,
    DropConstraintOnline,
    add,
    script,
)
from pgmodern.operations.literal import run_or_write, string
from pgmodern.operations.rendering import call


class AddCheckConstraintOnline(MigrateOperation):
    """Add a CHECK constraint while the table is read and written.

    ACCESS EXCLUSIVE for an instant, to add it NOT VALID; SHARE UPDATE EXCLUSIVE, under which reads
    and writes go on, while the rows that are there are checked. One with the same definition that
    is there is validated, if it is not yet. Raises MigrationError when there is another of that
    name, or when rows violate it: they are named, and the constraint stays NOT VALID.
    Manual: ALTER TABLE, notes.
    """

    def __init__(
        self, constraint_name: str, table_name: str, condition: str, schema: str | None = None
    ) -> None:
        self.constraint_name = constraint_name
        self.table_name = table_name
        self.condition = condition
        self.schema = schema

    @classmethod
    def add_check_constraint_online(
        cls,
        operations: Operations,
        constraint_name: str,
        table_name: str,
        condition: str,
        *,
        schema: str | None = None,
    ) -> None:
        """Add a constraint with a condition in SQL that no row may be false for."""
        operations.invoke(cls(constraint_name, table_name, condition, schema))

    def reverse(self) -> DropConstraintOnline:
        """Return the operation that undoes this one."""
        return DropConstraintOnline(self.constraint_name, self.table_name, self.schema, self)


def check(constraint_name: str, table_name: str, condition: str, schema: str | None) -> Constraint:
    """Return a CHECK constraint; an empty copy of the table shows how the server deparses it."""
    definition = f"CHECK ({condition})"
    copy = quoted(table_name, "pg_temp")
    return Constraint(
        name=constraint_name,
        definition=definition,
        preparation=f"CREATE TEMPORARY TABLE {quoted(table_name)} "
        f"(LIKE {quoted(table_name, schema)}, {definition}) ON COMMIT DROP;",
        declared="(SELECT pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint "
        f"WHERE conrelid = to_regclass({string(copy)}) AND contype = 'c')",
        violating=f"({condition}) IS FALSE",
    )


def _add(operations: Operations, operation: AddCheckConstraintOnline) -> None:
    table = quoted(operation.table_name, operation.schema)
    constraint = check(
        operation.constraint_name, operation.table_name, operation.condition, operation.schema
    )
    run_or_write(
        operations,
        lambda connection: add(connection, table, constraint),
        [script(f"SELECT {string(table)}::regclass", constraint)],
    )


def _render(context: AutogenContext, operation: AddCheckConstraintOnline) -> str:
    return call(
        context,
        "add_check_constraint_online",
        operation.constraint_name,
        operation.table_name,
        operation.condition,
        schema=operation.schema,
    )


def register() -> None:
    """Add the directive to `op`, and its renderer to autogenerate."""
    Operations.register_operation("add_check_constraint_online")(AddCheckConstraintOnline)
    Operations.implementation_for(AddCheckConstraintOnline)(_add)
    renderers.dispatch_for(AddCheckConstraintOnline)(_render)
