"""A column's type is changed at once where no row is written for it, else online."""

from copy import copy
from typing import Any

from alembic.operations import MigrateOperation
from alembic.operations.ops import AlterColumnOp
from sqlalchemy import Connection
from sqlalchemy.types import TypeEngine

from pgmodern.autogenerate import twin
from pgmodern.autogenerate.catalogue import Catalogue, Name
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline
from pgmodern.quoting import DIALECT, quoted


def change(
    connection: Connection, found: Catalogue, name: Name, operation: AlterColumnOp
) -> AlterColumnOp | ChangeColumnTypeOnline | ByHand:
    """Return the operation that gives a column its type; asks the server what that would cost."""
    column, table = quoted(operation.column_name), quoted(name[1], name[0])
    new, old = _type(operation.modify_type), _type(operation.existing_type)
    clause, using = f"ALTER COLUMN {column} TYPE {new}", None
    altered = twin.alter(connection, table, clause)
    if altered.refused is not None:
        using = f"{column}::{new}"
        altered = twin.alter(connection, table, f"{clause} USING {using}")
    if altered.refused is None and not altered.rewrites and using is None:
        plain = copy(operation)
        plain.modify_nullable, plain.modify_comment = None, False
        plain.modify_server_default = False
        return plain
    key, why = found.keys.get(name), altered.refused
    if why is None and key is None:
        why = "the table has no key of one column"
    elif (name, operation.column_name) in found.generated:
        why = "it is generated: drop it and add it anew"
    if why is not None or key is None:
        return ByHand(
            f"{name[1]}.{operation.column_name}",
            f"it is {old}, and declared to be {new}: {why}. op.change_column_type_online takes "
            "the conversion as `using`, and the key.",
            name[0],
        )
    return ChangeColumnTypeOnline(
        operation.table_name,
        operation.column_name,
        new,
        using,
        f"{column}::{old}",
        key.column,
        key.type,
        operation.schema,
        old,
    )


def without_type(operation: AlterColumnOp) -> MigrateOperation | None:
    """Return what else is to be altered of a column, but whether it may be NULL; or None."""
    rest = copy(operation)
    rest.modify_type = rest.modify_nullable = None
    if operation.modify_type is not None:
        rest.existing_type = operation.modify_type
    return rest if rest.has_changes() else None


def _type(type_: Any) -> str:
    assert isinstance(type_, TypeEngine)
    return str(type_.compile(DIALECT))
