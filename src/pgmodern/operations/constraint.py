"""`op.drop_constraint_online`, and what the operations that add constraints online share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from psycopg.errors import IntegrityError
from sqlalchemy import Connection

from pgmodern.errors import MigrationError
from pgmodern.indexes.catalogue import require_temporary
from pgmodern.locks import SECOND_LOCK, bounded, driver, execute_briefly, patiently, transaction
from pgmodern.operations.literal import run_or_write
from pgmodern.operations.operation import Operation
from pgmodern.operations.rendering import call
from pgmodern.quoting import quoted, string

_NAMED_ROWS = 5
_DEFINITION = "regexp_replace(pg_get_constraintdef(oid), ' NOT VALID$', '')"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint that is to be added while its table is read and written.

    `declared` is an SQL expression: the definition as the server deparses it. What it reads is
    made by `preparation`, and goes with the transaction. `violating` is the condition on the rows
    that violate the constraint, `values` are the columns that show why. One that `locks_two`
    tables is a foreign key. One that `replaces` takes the place of a CHECK of its name, and one
    that is `not_valid` leaves the rows that are there alone.
    """

    name: str
    definition: str
    declared: str
    violating: str = "false"
    values: tuple[str, ...] = ()
    preparation: str = ""
    locks_two: bool = False
    replaces: bool = False
    not_valid: bool = False

    @property
    def clause(self) -> str:
        """The clause of ALTER TABLE that adds it."""
        return f"ADD CONSTRAINT {quoted(self.name)} {self.definition}"

    @property
    def addition(self) -> str:
        """The clause that adds it for rows that are written from then on, without a scan."""
        return f"{self.clause} NOT VALID"

    @property
    def replacement(self) -> str:
        """The clause that puts it in the place of another; no row is written in between."""
        return f"DROP CONSTRAINT {quoted(self.name)}, {self.addition}"

    def adding(self, table: str, clause: str) -> tuple[str, ...]:
        """Return the statements that add it to a table by a clause of ALTER TABLE."""
        alter = f"ALTER TABLE {table} {clause}"
        if not self.locks_two:
            return (alter,)  # ACCESS EXCLUSIVE
        return (f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE", SECOND_LOCK, alter)

    @property
    def validation(self) -> str:
        """The clause of ALTER TABLE that checks the rows that are there."""
        # SHARE UPDATE EXCLUSIVE, and ROW SHARE on a referenced table; nothing when it is valid
        return f"VALIDATE CONSTRAINT {quoted(self.name)}"


class DropConstraintOnline(Operation):
    """Drop a constraint, if it is there.

    ACCESS EXCLUSIVE for an instant, for a foreign key on the referenced table as well; no lock
    when there is no such constraint. Of a foreign key whose addition to a partitioned table was
    not finished, it drops what the partitions have of it.
    """

    def __init__(
        self,
        constraint_name: str,
        table_name: str,
        schema: str | None = None,
        dropped: MigrateOperation | None = None,
    ) -> None:
        self.constraint_name = constraint_name
        self.table_name = table_name
        self.schema = schema
        self.dropped = dropped

    @classmethod
    def drop_constraint_online(
        cls,
        operations: Operations,
        constraint_name: str,
        table_name: str,
        *,
        schema: str | None = None,
    ) -> None:
        """Drop a constraint, if it exists."""
        operations.invoke(cls(constraint_name, table_name, schema))

    def reverse(self) -> MigrateOperation:
        """Return the operation that this one undoes; ValueError when it is not known."""
        if self.dropped is None:
            raise ValueError(f"What {self.constraint_name} was is not known.")
        return self.dropped

    def tables(self) -> str:
        """The query for the tables to drop it from; a partition's goes with its parent's."""
        table = string(quoted(self.table_name, self.schema))
        return (
            "SELECT conrelid::regclass FROM pg_catalog.pg_constraint "
            f"WHERE conname = {string(self.constraint_name)}::name AND "
            f"(conrelid = to_regclass({table}) OR contype = 'f' AND coninhcount = 0 AND "
            f"conrelid IN (SELECT relid FROM pg_partition_tree(to_regclass({table}))))"
        )


def is_there(table: str, name: str) -> str:
    """Return the condition on pg_constraint of being a (quoted) table's constraint."""
    return f"conrelid = to_regclass({string(table)}) AND conname = {string(name)}::name"


def add(connection: Connection, table: str, constraint: Constraint) -> None:
    """Add a constraint NOT VALID, unless it is there, and validate it, unless it is valid.

    A CHECK of another definition gives way to one that replaces it. Raises MigrationError when
    there is another of that name, or when rows violate it.
    """
    there = existing(connection, table, constraint.name)
    is_valid = there is not None and there.is_valid
    if there is None:
        execute_briefly(connection, *constraint.adding(table, constraint.addition))
    elif error := differing(connection, table, constraint, there):
        if not (constraint.replaces and there.definition.startswith("CHECK")):
            raise error
        execute_briefly(connection, *constraint.adding(table, constraint.replacement))
        is_valid = False
    if not (is_valid or constraint.not_valid):
        validate(connection, table, constraint)


@dataclass(frozen=True, slots=True)
class Existing:
    """A constraint as the catalogue holds it."""

    definition: str
    is_valid: bool


def existing(connection: Connection, table: str, name: str) -> Existing | None:
    """Return the constraint of that name that a (quoted) table has, or None."""
    query = (
        f"SELECT {_DEFINITION}, convalidated FROM pg_catalog.pg_constraint "
        f"WHERE {is_there(table, name)}"
    )
    row = driver(connection).execute(query.encode()).fetchone()
    return None if row is None else Existing(str(row[0]), bool(row[1]))


def differing(
    connection: Connection, table: str, constraint: Constraint, there: Existing
) -> MigrationError | None:
    """Return the error of a constraint that is another than the one of its name; None if not."""
    wanted = _declared(connection, table, constraint)
    if there.definition == wanted:
        return None
    return MigrationError(
        f"The constraint {constraint.name} of {table} is {there.definition}, not {wanted}.",
        "Give one of the two another name, or drop that one in an earlier revision.",
    )


def on_a_copy(
    table_name: str, schema: str | None, definition: str, contype: str
) -> tuple[str, str]:
    """Return how an empty copy of a table is made with a constraint, and how it is read there.

    Only the server knows how it deparses a definition.
    """
    copy = string(quoted(table_name, "pg_temp"))
    preparation = (
        f"CREATE TEMPORARY TABLE {quoted(table_name)} "
        f"(LIKE {quoted(table_name, schema)}, {definition}) ON COMMIT DROP;"
    )
    declared = (
        "(SELECT pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint "
        f"WHERE conrelid = to_regclass({copy}) AND contype = '{contype}')"
    )
    return preparation, declared


def _declared(connection: Connection, table: str, constraint: Constraint) -> str:
    def attempt(timeout: float) -> str:
        with transaction(connection, roll_back=True), driver(connection).cursor() as cursor:
            cursor.execute(bounded(timeout).encode())
            if constraint.preparation:
                require_temporary(connection)
                cursor.execute(constraint.preparation.encode())
            row = cursor.execute(f"SELECT {constraint.declared}".encode()).fetchone()
            assert row is not None
            return str(row[0])

    return patiently(connection, f"read {table}", attempt)


def validate(connection: Connection, table: str, constraint: Constraint) -> None:
    """Check the rows that are there, or raise MigrationError that names those that violate it."""
    try:
        execute_briefly(connection, f"ALTER TABLE {table} {constraint.validation}")
    except IntegrityError as error:
        raise MigrationError(
            f"{table} violates {constraint.name}, {constraint.definition}, in "
            f"{_violating_rows(connection, table, constraint)}",
            "The constraint stays, NOT VALID: every row that is written from now on has to meet "
            "it, these too. Mend them, then run again.",
        ) from error


def _violating_rows(connection: Connection, table: str, constraint: Constraint) -> str:
    """Name the first rows by their key, and by the values that show why."""
    key = _primary_key(connection, table) or ("tableoid::regclass", "ctid")
    columns = (*key, *constraint.values)
    # ACCESS SHARE
    query = (
        f"SELECT {', '.join(f'quote_nullable({column})' for column in columns)} FROM {table} "
        f"WHERE {constraint.violating} LIMIT {_NAMED_ROWS}"
    )
    rows = patiently(
        connection, query, lambda _: driver(connection).execute(query.encode()).fetchall()
    )
    if not rows:
        return "a row that is mended by now"
    number = f"{len(rows)} or more rows" if len(rows) == _NAMED_ROWS else f"{len(rows)} row(s)"
    return f"{number}: {'; '.join(_named(key, constraint.values, row) for row in rows)}"


def _named(key: Sequence[str], columns: Sequence[str], row: Sequence[object]) -> str:
    why = f" with {_assigned(columns, row[len(key) :])}" if columns else ""
    return _assigned(key, row[: len(key)]) + why


def _assigned(columns: Sequence[str], values: Sequence[object]) -> str:
    if len(columns) == 1:
        return f"{columns[0]} = {values[0]}"
    return f"({', '.join(columns)}) = ({', '.join(map(str, values))})"


def _primary_key(connection: Connection, table: str) -> tuple[str, ...]:
    rows = driver(connection).execute(
        "SELECT quote_ident(attname) FROM pg_catalog.pg_constraint "
        "CROSS JOIN unnest(conkey) WITH ORDINALITY AS key (attnum, place) "
        "JOIN pg_catalog.pg_attribute USING (attnum) "
        f"WHERE conrelid = to_regclass({string(table)}) AND contype = 'p' "
        "AND attrelid = conrelid ORDER BY place".encode()
    )
    return tuple(str(name) for (name,) in rows)


def script(tables: str, constraint: Constraint) -> str:
    """Return a block that adds a constraint to the tables of a query, and validates it.

    It commits after each statement that locks a table.
    """
    name = string(constraint.name)
    differs = f"RAISE EXCEPTION 'constraint % of % is %, not %', {name}, target, there, wanted;"
    if constraint.replaces:
        differs = f"""IF there NOT LIKE 'CHECK %' THEN
                    {differs}
                END IF;
                {_executed(constraint, constraint.replacement)}"""
    validation = string(" " + constraint.validation)
    validating = f"EXECUTE 'ALTER TABLE ' || target || {validation};\n        COMMIT;"
    return f"""DO $constraint$
DECLARE
    target regclass;
    there text;
    wanted text;
BEGIN
    FOR target IN {tables} LOOP
        there := (SELECT {_DEFINITION} FROM pg_catalog.pg_constraint
                  WHERE conrelid = target AND conname = {name}::name);
        IF there IS NULL THEN
            {_executed(constraint, constraint.addition)}
        ELSE
            {constraint.preparation}
            wanted := {constraint.declared};
            IF there <> wanted THEN
                {differs}
            END IF;
        END IF;
        COMMIT;
        {"" if constraint.not_valid else validating}
    END LOOP;
END
$constraint$"""


def refusal_script(table: str, constraint: Constraint) -> str:
    """Return a block that fails when a (quoted) table has another constraint of that name."""
    name = string(constraint.name)
    return f"""DO $constraint$
DECLARE
    there text := (SELECT {_DEFINITION} FROM pg_catalog.pg_constraint
                   WHERE {is_there(table, constraint.name)});
    wanted text;
BEGIN
    IF there IS NOT NULL THEN
        {constraint.preparation}
        wanted := {constraint.declared};
        IF there <> wanted THEN
            RAISE EXCEPTION 'constraint % of % is %, not %',
                {name}, {string(table)}, there, wanted;
        END IF;
    END IF;
END
$constraint$"""


def _executed(constraint: Constraint, clause: str) -> str:
    """Return the plpgsql that adds a constraint to `target` by a clause of ALTER TABLE."""
    return "\n            ".join(
        f"EXECUTE format({string(each)}, target);"
        for each in constraint.adding("%1$s", clause.replace("%", "%%"))
    )


def _drop(operations: Operations, operation: DropConstraintOnline) -> None:
    clause = f"DROP CONSTRAINT IF EXISTS {quoted(operation.constraint_name)}"

    def run(connection: Connection) -> None:
        tables = driver(connection).execute(operation.tables().encode()).fetchall()
        if tables:
            # ACCESS EXCLUSIVE
            lock = f"LOCK TABLE {tables[0][0]} IN ACCESS EXCLUSIVE MODE"
            altering = (f"ALTER TABLE {table} {clause}" for (table,) in tables)
            execute_briefly(connection, lock, SECOND_LOCK, *altering)

    run_or_write(operations, run, [_drop_script(operation.tables(), clause)])


def _drop_script(tables: str, clause: str) -> str:
    return f"""DO $drop$
DECLARE
    target regclass;
BEGIN
    FOR target IN {tables} LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', target);
        {SECOND_LOCK};
        EXECUTE 'ALTER TABLE ' || target || {string(" " + clause)};
    END LOOP;
END
$drop$"""


def _render_drop(context: AutogenContext, operation: DropConstraintOnline) -> str:
    return call(
        context,
        "drop_constraint_online",
        operation.constraint_name,
        operation.table_name,
        schema=operation.schema,
    )


def register() -> None:
    """Add the directive to `op`, and its renderer to autogenerate."""
    Operations.register_operation("drop_constraint_online")(DropConstraintOnline)
    Operations.implementation_for(DropConstraintOnline)(_drop)
    renderers.dispatch_for(DropConstraintOnline)(_render_drop)
