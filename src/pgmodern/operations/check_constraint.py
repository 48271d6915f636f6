"""`op.add_check_constraint_online` and `op.replace_check_constraint_online`."""

from __future__ import annotations

from dataclasses import replace

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations

from pgmodern.operations.constraint import (
    Constraint,
    DropConstraintOnline,
    add,
    on_a_copy,
    script,
)
from pgmodern.operations.literal import run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import quoted, string


class AddCheckConstraintOnline(Operation):
    """Add a CHECK constraint while the table is read and written.

    ACCESS EXCLUSIVE for an instant, to add it NOT VALID; SHARE UPDATE EXCLUSIVE, under which reads
    and writes go on, while the rows that are there are checked. One with the same definition that
    is there is validated, if it is not yet. Raises MigrationError when there is another of that
    name, or when rows violate it: they are named, and the constraint stays NOT VALID.
    Manual: ALTER TABLE, notes.
    """

    def __init__(
        self,
        constraint_name: str,
        table_name: str,
        condition: str,
        schema: str | None = None,
        *,
        not_valid: bool = False,
    ) -> None:
        self.constraint_name = constraint_name
        self.table_name = table_name
        self.condition = condition
        self.schema = schema
        self.not_valid = not_valid

    @classmethod
    def add_check_constraint_online(
        cls,
        operations: Operations,
        constraint_name: str,
        table_name: str,
        condition: str,
        *,
        not_valid: bool = False,
        schema: str | None = None,
    ) -> None:
        """Add a constraint with a condition in SQL that no row may be false for.

        One that is `not_valid` holds for what is written from now on, and leaves the rows that
        are there alone.
        """
        operations.invoke(cls(constraint_name, table_name, condition, schema, not_valid=not_valid))

    def reverse(self) -> DropConstraintOnline:
        """Return the operation that undoes this one."""
        return DropConstraintOnline(self.constraint_name, self.table_name, self.schema, self)

    @property
    def constraint(self) -> Constraint:
        """What is added."""
        given = check(self.constraint_name, self.table_name, self.condition, self.schema)
        return replace(given, not_valid=self.not_valid)


class ReplaceCheckConstraintOnline(Operation):
    """Give a CHECK constraint another condition; in between, no row is written that meets neither.

    ACCESS EXCLUSIVE for an instant, to put the new one NOT VALID in the old one's place; then as
    `op.add_check_constraint_online`. One that is missing is added. Raises MigrationError when the
    constraint of that name is no CHECK, or when rows violate the new one. `replaced` is what was
    there, for the way back.
    """

    def __init__(
        self,
        wanted: AddCheckConstraintOnline,
        replaced: AddCheckConstraintOnline | None = None,
    ) -> None:
        self.wanted = wanted
        self.replaced = replaced
        self.constraint_name = wanted.constraint_name
        self.table_name = wanted.table_name
        self.schema = wanted.schema

    @classmethod
    def replace_check_constraint_online(
        cls,
        operations: Operations,
        constraint_name: str,
        table_name: str,
        condition: str,
        *,
        not_valid: bool = False,
        schema: str | None = None,
    ) -> None:
        """Replace a constraint by one of the same name; takes what the addition takes."""
        wanted = AddCheckConstraintOnline(
            constraint_name, table_name, condition, schema, not_valid=not_valid
        )
        operations.invoke(cls(wanted))

    def reverse(self) -> ReplaceCheckConstraintOnline:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.replaced is None:
            raise ValueError(f"what {self.constraint_name} was before is not known")
        return ReplaceCheckConstraintOnline(self.replaced, self.wanted)

    @property
    def constraint(self) -> Constraint:
        """What takes the place."""
        return replace(self.wanted.constraint, replaces=True)


def check(constraint_name: str, table_name: str, condition: str, schema: str | None) -> Constraint:
    """Return a CHECK constraint; an empty copy of the table shows how the server deparses it."""
    definition = f"CHECK ({condition})"
    preparation, declared = on_a_copy(table_name, schema, definition, "c")
    return Constraint(
        name=constraint_name,
        definition=definition,
        preparation=preparation,
        declared=declared,
        violating=f"({condition}) IS FALSE",
    )


def _add(
    operations: Operations, operation: AddCheckConstraintOnline | ReplaceCheckConstraintOnline
) -> None:
    table, constraint = quoted(operation.table_name, operation.schema), operation.constraint
    run_or_write(
        operations,
        lambda connection: add(connection, table, constraint),
        [script(f"SELECT {string(table)}::regclass", constraint)],
    )


def _render_add(context: AutogenContext, operation: AddCheckConstraintOnline) -> str:
    return _render(context, "add_check_constraint_online", operation)


def _render_replace(context: AutogenContext, operation: ReplaceCheckConstraintOnline) -> str:
    return _render(context, "replace_check_constraint_online", operation.wanted)


def _render(context: AutogenContext, directive: str, operation: AddCheckConstraintOnline) -> str:
    return call(
        context,
        directive,
        operation.constraint_name,
        operation.table_name,
        operation.condition,
        not_valid=operation.not_valid or None,
        schema=operation.schema,
    )


def register() -> None:
    """Add the directives to `op`, and their renderers to autogenerate."""
    Operations.register_operation("add_check_constraint_online")(AddCheckConstraintOnline)
    Operations.register_operation("replace_check_constraint_online")(ReplaceCheckConstraintOnline)
    Operations.implementation_for(AddCheckConstraintOnline)(_add)
    Operations.implementation_for(ReplaceCheckConstraintOnline)(_add)
    renderers.dispatch_for(AddCheckConstraintOnline)(_render_add)
    renderers.dispatch_for(ReplaceCheckConstraintOnline)(_render_replace)
