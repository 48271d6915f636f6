"""What the catalogue knows of a table's size."""

from sqlalchemy import ColumnElement, Float, String, Table, cast, column, func, select, table
from sqlalchemy.dialects.postgresql import OID

from pgmodern.indexes.declared import constant
from pgmodern.quoting import quoted

CLASS = table(
    "pg_class",
    column("oid", OID),
    column("relname", String),
    column("relnamespace", OID),
    column("reltuples", Float),
    schema="pg_catalog",
)


def oid_of(name: str, schema: str | None) -> ColumnElement[int]:
    """Return the oid of a table or an index, NULL where it is not there."""
    return func.to_regclass(constant(quoted(name, schema)), type_=OID)


def size_of(counted: Table) -> ColumnElement[float]:
    """Return how many rows a table had when it was last analyzed, 0 where it never was."""
    tuples = select(cast(CLASS.c.reltuples, Float)).where(
        CLASS.c.oid == oid_of(counted.name, counted.schema)
    )
    return func.greatest(constant(0.0), tuples.scalar_subquery(), type_=Float())
