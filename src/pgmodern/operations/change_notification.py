"""`op.create_change_notification` and `op.drop_change_notification`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations

from pgmodern.errors import MigrationError
from pgmodern.names import derived, fitting
from pgmodern.operations.literal import execute
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import quoted, string

# More rows than that are 'anything may have changed', as is what NOTIFY would refuse (from 8,000
# bytes on; manual, NOTIFY). Names end after 63 bytes, those of channels too.
_ROWS, _BYTES, _CHANNEL_BYTES = 1000, 7999, 63
# The rows that a statement changed, by what it did: with its transition tables, if it has any.
_EVENTS = {
    "INSERT": ("NEW TABLE AS new_rows", ("new_rows",)),
    "UPDATE": ("OLD TABLE AS old_rows NEW TABLE AS new_rows", ("old_rows", "new_rows")),
    "DELETE": ("OLD TABLE AS old_rows", ("old_rows",)),
    "TRUNCATE": ("", ()),
}


class CreateChangeNotification(Operation):
    """NOTIFY a channel of the rows that each statement changes, when it commits; transactional.

    Four triggers for each statement, not for each row. Takes SHARE ROW EXCLUSIVE on the table for
    an instant: reads go on, and writers wait for it behind the transactions that have written.
    One that is there is replaced; `replaced` is what it was, for the way back.
    """

    def __init__(
        self,
        table_name: str,
        keys: Sequence[str],
        channel: str | None = None,
        schema: str | None = None,
    ) -> None:
        self.table_name = table_name
        self.keys = list(keys)
        self.schema = schema
        self.channel = channel or fitting("_".join([*_path(table_name, schema), "changed"]))
        self.replaced: CreateChangeNotification | None = None

    @classmethod
    def create_change_notification(
        cls,
        operations: Operations,
        table_name: str,
        keys: Sequence[str],
        *,
        channel: str | None = None,
        schema: str | None = None,
    ) -> None:
        """Send the old and new values of the key columns of changed rows to a channel.

        The payload is JSON, `{"id": ["7"], "name": ["Ann", "Anna"]}`, with the values as text; it
        is empty when the rows are too many for it, and after TRUNCATE. The channel is
        `<table>_changed` unless given (with a schema, `<schema>_<table>_changed`).

        Raises MigrationError for no keys, and for a channel that PostgreSQL would refuse.
        """
        operations.invoke(cls(table_name, keys, channel, schema))

    def reverse(self) -> CreateChangeNotification | DropChangeNotification:
        """Return the operation that undoes this one."""
        if self.replaced is None:
            return DropChangeNotification(self.table_name, self.schema, self)
        back = CreateChangeNotification(
            self.table_name, self.replaced.keys, self.replaced.channel, self.schema
        )
        back.replaced = self
        return back

    @property
    def triggers(self) -> list[str]:
        """The names of the triggers."""
        return [_name(self.table_name, self.schema, event) for event in _EVENTS]

    def definitions(self) -> tuple[str, ...]:
        """The statements that look for the columns, and make function and triggers."""
        table = quoted(self.table_name, self.schema)
        function = quoted(_name(self.table_name, self.schema), self.schema)
        columns = ", ".join(map(quoted, self.keys))
        return (
            f"DO $keys$ BEGIN PERFORM {columns} FROM {table} LIMIT 0; END $keys$",
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
            f"AS $notify${self.source}$notify$",
            *(
                # SHARE ROW EXCLUSIVE
                f"CREATE OR REPLACE TRIGGER {quoted(_name(self.table_name, self.schema, event))} "
                f"AFTER {event} ON {table} {f'REFERENCING {tables} ' if tables else ''}"
                f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
                for event, (tables, _) in _EVENTS.items()
            ),
        )

    @property
    def source(self) -> str:
        """The source of the triggers' function, as the catalogue holds it."""
        branches = "".join(
            f"\n    {'ELS' if number else ''}IF TG_OP = '{event}' THEN{self._collect(tables)}"
            for number, (event, (_, tables)) in enumerate(_EVENTS.items())
            if tables
        )
        return f"""
DECLARE
    changed bigint;
    payload text := '';
BEGIN{branches}
    END IF;
    IF changed > {_ROWS} OR octet_length(payload) > {_BYTES} THEN
        payload := '';
    END IF;
    IF changed IS DISTINCT FROM 0 THEN
        PERFORM pg_notify({string(self.channel)}, payload);
    END IF;
    RETURN NULL;
END
"""

    def _collect(self, tables: tuple[str, ...]) -> str:
        # By name inside the row, so that no write fails when a column is renamed or dropped.
        rows = " UNION ALL ".join(
            f"(SELECT to_jsonb(t.*) AS content FROM {table} AS t LIMIT {_ROWS + 1})"
            for table in tables
        )
        keys = ", ".join(
            f"{string(key)}, json_agg(DISTINCT r.content ->> {string(key)}) "
            f"FILTER (WHERE r.content ->> {string(key)} IS NOT NULL)"
            for key in self.keys
        )
        return f"""
        SELECT count(*), json_build_object({keys})::text INTO changed, payload
        FROM ({rows}) AS r;"""


_STRING = r"'((?:[^']|'')*)'"
_CHANNEL = re.compile(rf"pg_notify\({_STRING}, payload\)")
_KEY = re.compile(rf"{_STRING}, json_agg\(DISTINCT")


def read_source(
    table_name: str, source: str, schema: str | None
) -> CreateChangeNotification | None:
    """Return the operation that made a trigger's function; None when somebody has changed it."""
    channels, keys = _CHANNEL.findall(source), _KEY.findall(source)
    if not channels:
        return None
    named = [key.replace("''", "'") for key in dict.fromkeys(keys)]
    channel = str(channels[0]).replace("''", "'")
    made = CreateChangeNotification(table_name, named, channel, schema)
    return made if made.source == source else None


class DropChangeNotification(Operation):
    """Drop what `op.create_change_notification` made; ACCESS EXCLUSIVE for an instant."""

    def __init__(
        self,
        table_name: str,
        schema: str | None = None,
        dropped: CreateChangeNotification | None = None,
    ) -> None:
        self.table_name = table_name
        self.schema = schema
        self.dropped = dropped

    @classmethod
    def drop_change_notification(
        cls, operations: Operations, table_name: str, *, schema: str | None = None
    ) -> None:
        """Drop what `op.create_change_notification` made."""
        operations.invoke(cls(table_name, schema))

    def reverse(self) -> CreateChangeNotification:
        """Return the operation that undoes this one; ValueError when it is not known what was."""
        if self.dropped is None:
            raise ValueError(f"what {self.table_name} sent to whom is not known")
        return self.dropped

    def definitions(self) -> tuple[str, ...]:
        """The statements."""
        table, names = quoted(self.table_name, self.schema), (self.table_name, self.schema)
        return (
            # ACCESS EXCLUSIVE
            *(f"DROP TRIGGER {quoted(_name(*names, event))} ON {table}" for event in _EVENTS),
            f"DROP FUNCTION {quoted(_name(*names), self.schema)}()",
        )


def _path(table_name: str, schema: str | None) -> list[str]:
    return [*([schema] if schema else []), table_name]


def _name(table_name: str, schema: str | None, event: str = "") -> str:
    return derived(f"{table_name}_changed", event.lower(), *_path(table_name, schema))


def _create(operations: Operations, operation: CreateChangeNotification) -> None:
    if not operation.keys:
        raise MigrationError(
            f"No key columns of {operation.table_name} are named.",
            "Name the columns by which its rows are looked up.",
        )
    if len(operation.channel.encode()) > _CHANNEL_BYTES:
        raise MigrationError(
            f"The channel {operation.channel} has more than {_CHANNEL_BYTES} bytes.",
            "Give a shorter one: every write would fail.",
        )
    for statement in operation.definitions():
        execute(operations, statement)


def _drop(operations: Operations, operation: DropChangeNotification) -> None:
    for statement in operation.definitions():
        execute(operations, statement)


def _render_create(context: AutogenContext, operation: CreateChangeNotification) -> str:
    return call(
        context,
        "create_change_notification",
        operation.table_name,
        operation.keys,
        channel=operation.channel,
        schema=operation.schema,
    )


def _render_drop(context: AutogenContext, operation: DropChangeNotification) -> str:
    given = operation.table_name
    return call(context, "drop_change_notification", given, schema=operation.schema)


def register() -> None:
    """Add the directives to `op`."""
    Operations.register_operation("create_change_notification")(CreateChangeNotification)
    Operations.register_operation("drop_change_notification")(DropChangeNotification)
    Operations.implementation_for(CreateChangeNotification)(_create)
    Operations.implementation_for(DropChangeNotification)(_drop)
    renderers.dispatch_for(CreateChangeNotification)(_render_create)
    renderers.dispatch_for(DropChangeNotification)(_render_drop)
