"""`op.create_extension`, `op.update_extension` and `op.drop_extension`."""

from __future__ import annotations

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgmodern import extensions
from pgmodern.errors import ExtensionError
from pgmodern.extensions import (
    Extension,
    create_sql,
    denied,
    preflight,
    update_sql,
    version_key,
)
from pgmodern.operations import created
from pgmodern.operations.literal import execute
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import string


class CreateExtension(Operation):
    """Create an extension, unless the database has it; transactional.

    Takes no lock on any table. Raises ExtensionError, before anything is done, when the server
    does not have it in the minimum version or the role may not create it.
    """

    def __init__(self, name: str, minimum: str = "0", reason: str = "") -> None:
        self.extension = Extension(name, minimum, reason)

    @property
    def name(self) -> str:
        """The extension's name."""
        return self.extension.name

    @classmethod
    def create_extension(
        cls, operations: Operations, name: str, minimum: str = "0", reason: str = ""
    ) -> None:
        """Create an extension of at least this version, unless the database has it."""
        operations.invoke(cls(name, minimum, reason))

    def reverse(self) -> DropExtension:
        """Return the operation that undoes this one."""
        return DropExtension(self.extension.name)


class UpdateExtension(Operation):
    """Bring an extension to the version that the server offers, when it is too old.

    Transactional; locks what the extension's own update script does, no table of the application.
    Raises ExtensionError, before anything is done, when the database does not have it, when the
    server offers none that is new enough and when the role may not update it.
    """

    def __init__(self, name: str, minimum: str, reason: str = "") -> None:
        self.extension = Extension(name, minimum, reason)

    @classmethod
    def update_extension(
        cls, operations: Operations, name: str, minimum: str, reason: str = ""
    ) -> None:
        """Update an extension, unless it is of this version or a later one."""
        operations.invoke(cls(name, minimum, reason))

    def reverse(self) -> UpdateExtension:
        """Return the same: an extension has no way back, and what is newer serves as well."""
        return self

    @property
    def name(self) -> str:
        """The extension's name."""
        return self.extension.name


class DropExtension(Operation):
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


def _update(operations: Operations, operation: UpdateExtension) -> None:
    wanted = operation.extension
    if not operations.migration_context.as_sql:
        _require_update(operations.get_bind(), wanted)
    try:
        execute(operations, _update_if_old(wanted))
    except DBAPIError as error:
        if refused := denied(wanted.name, error, updating=True):
            raise refused from error
        raise
    execute(operations, _check_version(wanted))


def _require_update(connection: Connection, wanted: Extension) -> None:
    """Raise ExtensionError unless the extension is new enough, or can be brought to be."""
    have = extensions.installed(connection).get(wanted.name)
    if have is None:
        raise ExtensionError(
            f"The database does not have the extension {wanted.name!r}.",
            f"Create it: op.create_extension({wanted.name!r}, {wanted.minimum!r}).",
        )
    preflight(connection, [wanted], updating=True)


def _update_if_old(extension: Extension) -> str:
    return f"""DO $update$
BEGIN
    IF (SELECT {_is_old(extension)} FROM pg_catalog.pg_extension
        WHERE extname = {string(extension.name)}) THEN
        {update_sql(extension.name)};
    END IF;
END
$update$"""


def _check_version(extension: Extension) -> str:
    return f"""DO $version$
DECLARE
    extversion text := (SELECT e.extversion FROM pg_catalog.pg_extension AS e
                        WHERE e.extname = {string(extension.name)});
BEGIN
    IF extversion IS NULL OR {_is_old(extension)} THEN
        RAISE EXCEPTION 'extension % is %, {extension.minimum} or later is needed',
            {string(extension.name)}, coalesce(extversion, 'missing');
    END IF;
END
$version$"""


def _is_old(extension: Extension) -> str:
    """Return the SQL condition on `extversion` of being older than the minimum."""
    numbers = "string_to_array(substring(extversion FROM '^[0-9.]*[0-9]'), '.')::int[]"
    return f"{numbers} < ARRAY{list(version_key(extension.minimum)) or [0]}"


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


def _render_update(context: AutogenContext, operation: UpdateExtension) -> str:
    wanted = operation.extension
    return call(context, "update_extension", wanted.name, wanted.minimum, wanted.reason)


def _render_drop(context: AutogenContext, operation: DropExtension) -> str:
    return call(context, "drop_extension", operation.name)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("create_extension")(CreateExtension)
    Operations.register_operation("update_extension")(UpdateExtension)
    Operations.register_operation("drop_extension")(DropExtension)
    Operations.implementation_for(CreateExtension)(_create)
    Operations.implementation_for(UpdateExtension)(_update)
    Operations.implementation_for(DropExtension)(_drop)
    renderers.dispatch_for(CreateExtension)(_render_create)
    renderers.dispatch_for(UpdateExtension)(_render_update)
    renderers.dispatch_for(DropExtension)(_render_drop)
