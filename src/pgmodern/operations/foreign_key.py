"""`op.add_foreign_key_online`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from sqlalchemy import Connection

from pgmodern.locks import driver, execute_briefly
from pgmodern.operations.constraint import (
    Constraint,
    DropConstraintOnline,
    add,
    is_there,
    script,
)
from pgmodern.operations.literal import run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import quoted, string


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key as `op.create_foreign_key` takes it."""

    constraint_name: str
    source_table: str
    referent_table: str
    local_cols: Sequence[str]
    remote_cols: Sequence[str]
    onupdate: str | None = None
    ondelete: str | None = None
    deferrable: bool | None = None
    initially: str | None = None
    match: str | None = None
    source_schema: str | None = None
    referent_schema: str | None = None

    @property
    def source(self) -> str:
        """The quoted name of the table that references."""
        return quoted(self.source_table, self.source_schema)

    @property
    def referent(self) -> str:
        """The quoted name of the table that is referenced."""
        return quoted(self.referent_table, self.referent_schema)

    def constraint(self) -> Constraint:
        """Return it as a constraint of the source, or of a partition of it."""
        local, remote = map(_list, (self.local_cols, self.remote_cols))
        return Constraint(
            name=self.constraint_name,
            definition=f"FOREIGN KEY ({local}) REFERENCES {self.referent} ({remote})"
            f"{self._options()}",
            declared=f"'FOREIGN KEY (' || {_deparsed(self.local_cols)} || ') REFERENCES ' || "
            f"{string(self.referent)}::regclass || '(' || {_deparsed(self.remote_cols)} || ')' || "
            f"{string(self._options())}",
            violating=self._violating(),
            values=tuple(map(quoted, self.local_cols)),
            locks_two=True,
        )

    def _options(self) -> str:
        """The options as the server deparses them: without those that are the default."""
        deferred = _upper(self.initially) == "DEFERRED"
        return (
            (" MATCH FULL" if _upper(self.match) == "FULL" else "")
            + _action("UPDATE", self.onupdate)
            + _action("DELETE", self.ondelete)
            + (" DEFERRABLE" if self.deferrable or deferred else "")
            + (" INITIALLY DEFERRED" if deferred else "")
        )

    def _violating(self) -> str:
        local = list(map(quoted, self.local_cols))
        # No column of the source may be taken for one of the referent. That there are as many of
        # the one as of the other is the server's to say.
        remote = [quoted(f"pgmodern_{number}") for number in range(len(self.remote_cols))]
        renamed = ", ".join(
            f"{quoted(column)} AS {name}"
            for column, name in zip(self.remote_cols, remote, strict=False)
        )
        equal = " AND ".join(f"{r} = {ours}" for r, ours in zip(remote, local, strict=False))
        nulls = f"< {len(local)}" if _upper(self.match) == "FULL" else "= 0"
        return (
            f"num_nulls({', '.join(local)}) {nulls} AND NOT EXISTS (SELECT FROM "
            f"(SELECT {renamed} FROM {self.referent}) AS referent WHERE {equal})"
        )


class AddForeignKeyOnline(Operation):
    """Add a foreign key while both tables are read and written.

    SHARE ROW EXCLUSIVE on both for an instant, to add it NOT VALID; SHARE UPDATE EXCLUSIVE on the
    source and ROW SHARE on the referent, under which reads and writes go on, while the rows that
    are there are checked. A partitioned source has it added to its partitions first, one after
    the other; the instant in which these become the parent's takes ACCESS EXCLUSIVE on the
    referent. One with the same definition that is there is validated, if it is not yet. Raises
    MigrationError when there is another of that name, or when rows have no referent: they are
    named, and the constraint stays NOT VALID.
    Manual: ALTER TABLE, notes.
    """

    def __init__(self, key: ForeignKey) -> None:
        self.key = key

    @classmethod
    def add_foreign_key_online(
        cls,
        operations: Operations,
        constraint_name: str,
        source_table: str,
        referent_table: str,
        local_cols: Sequence[str],
        remote_cols: Sequence[str],
        *,
        onupdate: str | None = None,
        ondelete: str | None = None,
        deferrable: bool | None = None,
        initially: str | None = None,
        match: str | None = None,
        source_schema: str | None = None,
        referent_schema: str | None = None,
    ) -> None:
        """Add a foreign key; takes what `op.create_foreign_key` takes."""
        operations.invoke(
            cls(
                ForeignKey(
                    constraint_name,
                    source_table,
                    referent_table,
                    local_cols,
                    remote_cols,
                    onupdate,
                    ondelete,
                    deferrable,
                    initially,
                    match,
                    source_schema,
                    referent_schema,
                )
            )
        )

    @property
    def about(self) -> tuple[str | None, ...]:
        """The key and the table that gets it."""
        return self.key.source_schema, self.key.source_table, self.key.constraint_name

    def reverse(self) -> DropConstraintOnline:
        """Return the operation that undoes this one."""
        key = self.key
        return DropConstraintOnline(key.constraint_name, key.source_table, key.source_schema, self)


def _list(columns: Sequence[str]) -> str:
    return ", ".join(map(quoted, columns))


def _deparsed(columns: Sequence[str]) -> str:
    return " || ', ' || ".join(f"quote_ident({string(column)})" for column in columns)


def _upper(option: str | None) -> str:
    return (option or "").upper()


def _action(event: str, action: str | None) -> str:
    verb, bracket, columns = (action or "NO ACTION").partition("(")  # SET NULL may name columns
    return "" if verb.upper() == "NO ACTION" else f" ON {event} {verb.upper()}{bracket}{columns}"


def _tables(source: str, name: str) -> str:
    """Return the query for the tables to add it to: the source, or what partitions it has.

    It is the partitioned table itself when that has it already.
    """
    oid = f"to_regclass({string(source)})"
    return (
        "SELECT oid::regclass FROM pg_catalog.pg_class WHERE CASE "
        f"WHEN {_exists(source, name)} THEN oid = {oid} "
        f"ELSE relkind <> 'p' AND (oid = {oid} OR oid IN "
        f"(SELECT relid FROM pg_partition_tree({oid}))) END ORDER BY oid"
    )


def _exists(source: str, name: str) -> str:
    return f"EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE {is_there(source, name)})"


def _add(operations: Operations, operation: AddForeignKeyOnline) -> None:
    source, constraint = operation.key.source, operation.key.constraint()
    tables, exists = _tables(source, constraint.name), _exists(source, constraint.name)
    # Partitions that have it, valid, are not scanned again.
    whole = constraint.adding(source, constraint.clause)
    run_or_write(
        operations,
        lambda connection: _run(connection, constraint, tables, exists, whole),
        [
            script(tables, constraint),
            f"DO $whole$ BEGIN IF NOT {exists} THEN {'; '.join(whole)}; END IF; END $whole$",
        ],
    )


def _run(
    connection: Connection, constraint: Constraint, tables: str, exists: str, whole: Sequence[str]
) -> None:
    for (table,) in driver(connection).execute(tables.encode()).fetchall():
        add(connection, str(table), constraint)
    if driver(connection).execute(f"SELECT {exists}".encode()).fetchone() != (True,):
        # SHARE ROW EXCLUSIVE on the source and all its partitions, ACCESS EXCLUSIVE on the referent
        execute_briefly(connection, *whole)


def _render(context: AutogenContext, operation: AddForeignKeyOnline) -> str:
    given = {field.name: getattr(operation.key, field.name) for field in fields(operation.key)}
    required = [given.pop(name) for name in list(given)[:5]]
    return call(context, "add_foreign_key_online", *required, **given)


def register() -> None:
    """Add the directive to `op`, and its renderer to autogenerate."""
    Operations.register_operation("add_foreign_key_online")(AddForeignKeyOnline)
    Operations.implementation_for(AddForeignKeyOnline)(_add)
    renderers.dispatch_for(AddForeignKeyOnline)(_render)
