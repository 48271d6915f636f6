"""`op.adopt_table` and `op.release_table`: tables that a live database has already."""

from __future__ import annotations

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations

from pgmodern.locks import SECOND_LOCK
from pgmodern.operations import created
from pgmodern.operations.literal import execute
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import quoted, string


class AdoptTable(Operation):
    """Create a table with its indexes if it is not there; change nothing if it is. Transactional.

    Locks nothing that exists, but for tables that a foreign key of a new table points at: those
    are locked SHARE ROW EXCLUSIVE for an instant, so the new table must be empty, as it is.
    """

    def __init__(self, name: str, statements: tuple[str, ...]) -> None:
        self.name = name
        self.statements = statements

    @classmethod
    def adopt_table(cls, operations: Operations, name: str, *statements: str) -> None:
        """Run CREATE TABLE and what belongs to it, unless a table of that name exists."""
        operations.invoke(cls(name, statements))

    def reverse(self) -> ReleaseTable:
        """Return the operation that undoes this one."""
        return ReleaseTable(self.name, self)


class ReleaseTable(Operation):
    """Drop a table that `op.adopt_table` created, if it is empty; otherwise leave it alone.

    Takes ACCESS EXCLUSIVE on a table that was created, so that no row can come in meanwhile, and
    on those that its foreign keys point at.
    """

    def __init__(self, name: str, released: AdoptTable | None = None) -> None:
        self.name = name
        self.released = released

    @classmethod
    def release_table(cls, operations: Operations, name: str) -> None:
        """Drop a table, if we created it and it is empty."""
        operations.invoke(cls(name))

    def reverse(self) -> AdoptTable:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.released is None:
            raise ValueError(f"what {self.name} was is not known")
        return self.released


def _adopt(operations: Operations, operation: AdoptTable) -> None:
    table = quoted(operation.name)
    absent = f"to_regclass({string(table)}) IS NULL"
    created.remember(operations, "table", operation.name, absent)
    statements = ";\n    ".join(operation.statements)
    execute(
        operations,
        f"""DO $adopt$
BEGIN
IF {absent} THEN
    {statements};
END IF;
END
$adopt$""",
    )


def _release(operations: Operations, operation: ReleaseTable) -> None:
    table = quoted(operation.name)
    created.drop_if_ours(
        operations,
        "table",
        operation.name,
        f"""DECLARE
            waits text := current_setting('lock_timeout');
        BEGIN
            IF to_regclass({string(table)}) IS NOT NULL THEN
                LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;
                IF EXISTS (SELECT FROM {table}) THEN
                    RAISE NOTICE 'kept table %: it holds rows', {string(operation.name)};
                    kept := true;
                ELSE
                    -- and the tables that its foreign keys point at
                    {SECOND_LOCK};
                    DROP TABLE {table};
                    PERFORM set_config('lock_timeout', waits, true);
                END IF;
            END IF;
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE 'kept table %: something else depends on it', {string(operation.name)};
            kept := true;
        END;""",
    )


def _render_adopt(context: AutogenContext, operation: AdoptTable) -> str:
    return call(context, "adopt_table", operation.name, *operation.statements)


def _render_release(context: AutogenContext, operation: ReleaseTable) -> str:
    return call(context, "release_table", operation.name)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("adopt_table")(AdoptTable)
    Operations.register_operation("release_table")(ReleaseTable)
    Operations.implementation_for(AdoptTable)(_adopt)
    Operations.implementation_for(ReleaseTable)(_release)
    renderers.dispatch_for(AdoptTable)(_render_adopt)
    renderers.dispatch_for(ReleaseTable)(_render_release)
