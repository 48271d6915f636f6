"""What PostgreSQL has as an index, and what it would make of a declared one."""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Index, quoted_name, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex

from pgmodern.errors import MigrationError
from pgmodern.locks import driver, transaction
from pgmodern.quoting import quoted

# PostgreSQL 17.12 keeps a log position among a column's options, as pg_attver.
DEFINITION = """
           relation.relname AS table_name,
           method.amname AS method,
           index.indisunique AS is_unique,
           index.indnullsnotdistinct AS nulls_not_distinct,
           index.indnkeyatts AS key_columns,
           CASE WHEN index.indexprs IS NULL THEN
               ARRAY(SELECT quote_ident(attname) FROM pg_catalog.pg_attribute
                     JOIN unnest(index.indkey) WITH ORDINALITY AS held (attnum, number)
                       USING (attnum)
                     WHERE attrelid = index.indrelid ORDER BY number)
           ELSE
               ARRAY(SELECT pg_get_indexdef(index.indexrelid, number, true)
                     FROM generate_series(1, index.indnatts) AS number) END AS columns,
           ARRAY(SELECT opclass.opcname::text
                 FROM unnest(index.indclass) WITH ORDINALITY AS used (opclass, number)
                 JOIN pg_catalog.pg_opclass AS opclass ON opclass.oid = used.opclass
                 ORDER BY number) AS opclasses,
           ARRAY(SELECT array_to_string(ARRAY(
                     SELECT option FROM unnest(attoptions) AS option
                     WHERE NOT starts_with(option, 'pg_attver=') ORDER BY option), ', ')
                 FROM pg_catalog.pg_attribute
                 WHERE attrelid = index.indexrelid AND attnum BETWEEN 1 AND index.indnkeyatts
                 ORDER BY attnum) AS opclass_parameters,
           index.indoption::text AS options,
           index.indcollation::text AS collations,
           ARRAY(SELECT unnest(class.reloptions) AS option ORDER BY option) AS parameters,
           pg_get_expr(index.indpred, index.indrelid, true) AS predicate,
           index.indisvalid AND index.indisready AS is_valid
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_catalog.pg_class AS relation ON relation.oid = index.indrelid
    JOIN pg_catalog.pg_am AS method ON method.oid = class.relam
"""
_DEFINITION = text(f"SELECT {DEFINITION} WHERE index.indexrelid = to_regclass(:name)")


@dataclass(frozen=True, slots=True)
class Definition:
    """An index as the catalogue holds it; equal when PostgreSQL would use both alike."""

    table_name: str
    method: str
    is_unique: bool
    nulls_not_distinct: bool
    key_columns: int
    columns: list[str]
    opclasses: list[str]
    opclass_parameters: list[str]
    options: str
    collations: str
    parameters: list[str]
    predicate: str | None
    is_valid: bool


def existing(connection: Connection, name: str, schema: str | None = None) -> Definition | None:
    """Return the definition of the index of that name, or None."""
    row = connection.execute(_DEFINITION, {"name": quoted(name, schema)}).mappings().one_or_none()
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    return Definition(**values)


_PLACE = text("""
    SELECT CASE WHEN has_database_privilege(current_database(), 'TEMPORARY') THEN 'pg_temp'
                WHEN has_schema_privilege(relnamespace, 'CREATE') THEN nspname END
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
    WHERE class.oid = to_regclass(:name)
""")


def declared(connection: Connection, index: Index) -> Definition:
    """Return the definition that PostgreSQL would give the index, were it built now.

    It is built on an empty copy of the table and rolled back: only the server knows how it
    deparses an expression. The copy is a temporary table or, for a role that may make none, one
    beside the original. Locks the table no more than reading it does. Raises MigrationError when
    the role may make neither.
    """
    table = index.table
    assert table is not None
    original = quoted(table.name, table.schema)
    place = _place(connection, original)
    twin = copied(index, place)
    assert twin.table is not None
    if place != "pg_temp":  # where it would be in the way of its original
        twin.table.name = quoted_name("pgmodern_copy", None)
        twin.name = quoted_name("pgmodern_index", None)
    name = quoted(twin.table.name, twin.table.schema)
    with transaction(connection, roll_back=True):
        driver(connection).execute(f"CREATE TABLE {name} (LIKE {original})".encode())
        connection.execute(CreateIndex(twin))
        definition = existing(connection, str(twin.name), twin.table.schema)
    assert definition is not None
    return replace(definition, table_name=table.name)


def _place(connection: Connection, table: str) -> str:
    """Return the schema in which this role may make a copy of the table."""
    row = connection.execute(_PLACE, {"name": table}).one_or_none()
    if row is not None and row[0] is None:
        raise MigrationError(
            f"This role may make neither a temporary table nor one beside {table}, on which the "
            "server could show how it reads what is declared.",
            "GRANT it TEMPORARY on the database; or CREATE on the schema, which building an index "
            "needs anyway.",
        )
    return "pg_temp" if row is None else str(row[0])


def require_temporary(connection: Connection) -> None:
    """Raise MigrationError when the role may make no temporary table in this database."""
    query = b"SELECT has_database_privilege(current_database(), 'TEMPORARY'), current_database()"
    row = driver(connection).execute(query).fetchone()
    if row is not None and not row[0]:
        raise MigrationError(
            f"This role may make no temporary table in {row[1]}, on which the server could show "
            "how it reads what is declared.",
            f"Nothing was done. GRANT TEMPORARY ON DATABASE {quoted(str(row[1]))} to the role.",
        )


def copied(index: Index, schema: str, name: str | None = None) -> Index:
    """Return the index of a copy of its table, to be built at once; what is declared stays."""
    twin, table, options = copy(index), copy(index.table), index.dialect_options["postgresql"]
    assert table is not None
    twin.table, table.schema = table, quoted_name(schema, None)
    twin.name = quoted_name(name or str(index.name), None)
    plain = {**options, "concurrently": False, "tablespace": None}
    twin.dialect_options = {"postgresql": plain}
    return twin


def differences(connection: Connection, index: Index) -> list[str]:
    """Say in which respects the catalogue's index differs from the declared one."""
    assert index.name is not None
    assert index.table is not None
    there = existing(connection, index.name, index.table.schema)
    if there is None:
        return ["missing"]
    try:
        wanted = declared(connection, index)
    except DBAPIError as error:
        return [f"cannot be built: {error.orig}"]
    return [
        f"{field}: {getattr(there, field)!r} instead of {getattr(wanted, field)!r}"
        for field in there.__slots__
        if getattr(there, field) != getattr(wanted, field)
    ]
