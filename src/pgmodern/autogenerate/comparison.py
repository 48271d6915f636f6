"""One comparison of metadata with a database: what both sides have, as PostgreSQL says it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Index, Table

from pgmodern.autogenerate import indexes
from pgmodern.autogenerate.catalogue import Catalogue, Name
from pgmodern.autogenerate.implementation import Implementation
from pgmodern.autogenerate.twin import Deparsed
from pgmodern.operations.literal import final_name


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the database has, and what it would make of what is declared."""

    catalogue: Catalogue
    deparsed: Deparsed
    default_schema: str | None

    def name(self, table: Table) -> Name:
        """Return the name under which the catalogue has a table, if it does."""
        return name_of(table, self.default_schema)

    def index(self, declared: Index) -> list[str]:
        """Say in which respects the catalogue's index differs from the declared one."""
        assert declared.table is not None
        schema, _ = self.name(declared.table)
        there = self.catalogue.indexes.get((schema, final_name(declared)))
        if there is None:
            return ["missing"]
        if indexes.is_plainly(declared, there):
            return []
        return indexes.differences(there.definition, self.deparsed.indexes.get(declared, []))


def name_of(table: Table, default_schema: str | None) -> Name:
    """Return a table's name, without the schema that tables are created in."""
    return (None if table.schema == default_schema else table.schema), table.name


def of(context: AutogenContext) -> Comparison:
    """Return the comparison that is under way."""
    found = implementation(context).comparison
    assert isinstance(found, Comparison)
    return found


def implementation(context: AutogenContext) -> Implementation:
    """Return what Alembic asks about PostgreSQL."""
    found = context.migration_context.impl
    assert isinstance(found, Implementation)
    return found


def existing(context: AutogenContext, catalogue: Catalogue) -> Iterator[tuple[Name, Table]]:
    """Yield the tables of the metadata that the database has."""
    for table in context.sorted_tables:
        name = name_of(table, context.dialect.default_schema_name)
        if name in catalogue.sizes:
            yield name, table
