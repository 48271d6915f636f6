"""`op.create_extension` and `op.drop_extension`."""

from __future__ import annotations

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from sqlalchemy.exc import DBAPIError

from pgmodern.extensions import Extension, create_sql, denied, preflight, version_key
from pgmodern.operations import created
from pgmodern.operations.literal import execute, string
from pgmodern.operations.rendering import call


class CreateExtension(MigrateOperation):
    """Create an extension, unless the database has it; transactional.

    Takes no lock on any table. Raises ExtensionError, before anything is done, when the server
    does not have it in the minimum version or the role may not create it.
    """

    def __init__(self, name: str, minimum: str = "0", reason: str = "") -> None:
        self.extension = Extension(name, minimum, reason)

    @classmethod
    def create_extension(
        cls, operations: Operations, name: str, minimum: str = "0", reason: str = ""
    ) -> None:
        """Create an extension of at least this version, unless the database has it."""
        operations.invoke(cls(name, minimum, reason))

    def reverse(self) -> DropExtension:
        """Return the operation that undoes this one."""
        return DropExtension(self.extension.name)


class DropExtension(MigrateOperation):
    """Drop an extension that `op.create_extension` created and that nothing depends on.

    One that was there before us stays. Locks the extension's catalogue entries only.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def drop_extension(cls, operations: Operations, name: str) -> None:
        """Drop an extension, if we created it and nothing depends on it."""
        operations.invoke(cls(name))

    def reverse(self) -> CreateExtension:
        """Return the operation that undoes this one."""
        return CreateExtension(self.name)


def _create(operations: Operations, operation: CreateExtension) -> None:
    name = operation.extension.name
    connection = None if operations.migration_context.as_sql else operations.get_bind()
    if connection is not None:
        preflight(connection, [operation.extension])
    absent = f"NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = {string(name)})"
    created.remember(operations, "extension", name, absent)
    try:
        execute(operations, create_sql(name))
    except DBAPIError as error:
        if refused := denied(name, error):
            raise refused from error
        raise
    if connection is None:
        execute(operations, _check_version(operation.extension))


def _check_version(extension: Extension) -> str:
    oldest = list(version_key(extension.minimum)) or [0]
    return f"""DO $version$
DECLARE
    version text := (SELECT extversion FROM pg_catalog.pg_extension
                     WHERE extname = {string(extension.name)});
BEGIN
    IF string_to_array(substring(version FROM '^[0-9.]*[0-9]'), '.')::int[] < ARRAY{oldest} THEN
        RAISE EXCEPTION 'extension % is %, {extension.minimum} or later is needed',
            {string(extension.name)}, version;
    END IF;
END
$version$"""


def _drop(operations: Operations, operation: DropExtension) -> None:
    name = operation.name
    created.drop_if_ours(
        operations,
        "extension",
        name,
        f"""BEGIN
            DROP EXTENSION IF EXISTS "{name}";
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE 'kept extension %: something else depends on it', {string(name)};
            kept := true;
        END;""",
    )


def _render_create(context: AutogenContext, operation: CreateExtension) -> str:
    wanted = operation.extension
    return call(context, "create_extension", wanted.name, wanted.minimum, wanted.reason)


def _render_drop(context: AutogenContext, operation: DropExtension) -> str:
    return call(context, "drop_extension", operation.name)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("create_extension")(CreateExtension)
    Operations.register_operation("drop_extension")(DropExtension)
    Operations.implementation_for(CreateExtension)(_create)
    Operations.implementation_for(DropExtension)(_drop)
    renderers.dispatch_for(CreateExtension)(_render_create)
    renderers.dispatch_for(DropExtension)(_render_drop)
