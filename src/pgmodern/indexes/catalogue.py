"""What PostgreSQL has as an index, and what it would make of a declared one."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Index, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex

from pgmodern.locks import driver, transaction

_DEFINITION = text("""
    SELECT relation.relname AS table_name,
           method.amname AS method,
           index.indisunique AS is_unique,
           index.indnullsnotdistinct AS nulls_not_distinct,
           index.indnkeyatts AS key_columns,
           ARRAY(SELECT pg_get_indexdef(index.indexrelid, number, true)
                 FROM generate_series(1, index.indnatts) AS number) AS columns,
           ARRAY(SELECT opclass.opcname::text
                 FROM unnest(index.indclass) WITH ORDINALITY AS used (opclass, number)
                 JOIN pg_catalog.pg_opclass AS opclass ON opclass.oid = used.opclass
                 ORDER BY number) AS opclasses,
           index.indoption::text AS options,
           index.indcollation::text AS collations,
           ARRAY(SELECT unnest(class.reloptions) AS option ORDER BY option) AS parameters,
           pg_get_expr(index.indpred, index.indrelid, true) AS predicate,
           index.indisvalid AND index.indisready AS is_valid
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_catalog.pg_class AS relation ON relation.oid = index.indrelid
    JOIN pg_catalog.pg_am AS method ON method.oid = class.relam
    WHERE index.indexrelid = to_regclass(:name)
""")


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


def declared(connection: Connection, index: Index) -> Definition:
    """Return the definition that PostgreSQL would give the index, were it built now.

    It is built on an empty temporary copy of the table and rolled back: only the server knows how
    it deparses an expression. Locks the table no more than reading it does.
    """
    table, name = index.table, index.name
    assert table is not None
    assert name is not None
    copy = f"CREATE TEMPORARY TABLE {quoted(table.name)} (LIKE {quoted(table.name, table.schema)})"
    options = index.dialect_options["postgresql"]
    concurrently, options["concurrently"] = options["concurrently"], False
    try:
        with transaction(connection, roll_back=True):
            driver(connection).execute(copy.encode())
            connection.execute(
                CreateIndex(index),
                execution_options={"schema_translate_map": {table.schema: "pg_temp"}},
            )
            definition = existing(connection, name, "pg_temp")
    finally:
        options["concurrently"] = concurrently
    assert definition is not None
    return definition


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


def quoted(name: str, schema: str | None = None) -> str:
    """Quote a possibly qualified name for SQL text and for `to_regclass`."""
    parts = [schema, name] if schema else [name]
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)
