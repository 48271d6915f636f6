"""Constraints that hold for new rows only: NOT VALID."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from pgmodern.doctor.catalogue import TABLES
from pgmodern.doctor.cure import execute, line
from pgmodern.doctor.diagnosis import Diagnosis, Kind
from pgmodern.operations.not_null import SetNotNullOnline
from pgmodern.operations.partition_table import UnpartitionTableOnline
from pgmodern.quoting import quoted

KINDS = (Kind.UNVALIDATED_CONSTRAINT,)

# From PostgreSQL 18 a constraint may be one that is not enforced, and then never is valid. What
# tables inherit is validated with that of their parent.
_UNVALIDATED = text(f"""
    WITH tables AS ({TABLES})
    SELECT conname AS name, tables.schema, tables.qualifier, tables.table_name,
           coalesce((SELECT attname::text FROM pg_catalog.pg_attribute
                     WHERE attrelid = conrelid AND attnum = conkey[1]), '') AS column_name
    FROM pg_catalog.pg_constraint AS found
    JOIN tables ON tables.oid = conrelid
    WHERE NOT convalidated AND coninhcount = 0 AND conparentid = 0
      AND coalesce((to_jsonb(found) ->> 'conenforced')::boolean, true)
    ORDER BY tables.schema, tables.table_name, conname
""")


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find constraints that rows from before them may violate."""
    for name, schema, qualifier, table, column in connection.execute(_UNVALIDATED):
        yield Diagnosis(
            Kind.UNVALIDATED_CONSTRAINT,
            "warning",
            schema,
            table,
            name,
            "holds for new rows only, and the planner does not rely on it",
            _cure(name, table, column, qualifier),
        )


def _cure(name: str, table: str, column: str, schema: str | None) -> str:
    """Write what validates it; of what an operation of ours left behind, what ends or undoes it."""
    not_null = SetNotNullOnline(table, column, schema)
    if name == not_null.check.name:
        return line(not_null)
    if name.startswith("pgmodern_before_"):
        return line(UnpartitionTableOnline(table, schema))
    # SHARE UPDATE EXCLUSIVE while it scans: reads and writes go on
    return execute(f"ALTER TABLE {quoted(table, schema)} VALIDATE CONSTRAINT {quoted(name)}")
