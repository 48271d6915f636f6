"""A tsvector column and the trigger that keeps it: what each operation on one knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pgmodern.backfill import Backfill
from pgmodern.indexes.search_vector import SearchVector, Weight
from pgmodern.names import fitting
from pgmodern.operations.operation import Operation
from pgmodern.quoting import quoted, string


class TsvectorColumn(Operation):
    """A column over source columns, each with its weight; the operations are its subclasses.

    `key` is the column by which a backfill walks through the table, `key_type` its type.
    """

    def __init__(
        self,
        table_name: str,
        column_name: str,
        sources: Mapping[str, Weight],
        configuration: str,
        key: str,
        key_type: str,
        schema: str | None = None,
        index_name: str | None = None,
    ) -> None:
        self.table_name = table_name
        self.column_name = column_name
        self.sources = sources
        self.configuration = configuration
        self.key = key
        self.key_type = key_type
        self.schema = schema
        self.index_name = index_name or fitting(f"ix_{table_name}_{column_name}")

    @classmethod
    def of(cls, other: TsvectorColumn) -> Self:
        """Return this operation on what another one is about."""
        return cls(
            other.table_name,
            other.column_name,
            other.sources,
            other.configuration,
            other.key,
            other.key_type,
            other.schema,
            other.index_name,
        )

    @property
    def vector(self) -> SearchVector:
        """What the column holds."""
        given = self.table_name, self.column_name, self.sources, self.configuration
        return SearchVector(*given, self.key, self.schema)

    def definitions(self) -> tuple[str, ...]:
        """The statements that make column and trigger; all are repeatable."""
        name = quoted(self.table_name, self.schema)
        return (
            # ACCESS EXCLUSIVE; instant, as the column is nullable and has no default
            f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {quoted(self.column_name)} tsvector",
            *self.vector.definitions(),
        )

    @property
    def is_missing(self) -> str:
        """The SQL condition of there being no such column."""
        table = string(quoted(self.table_name, self.schema))
        return (
            "NOT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = "
            f"{table}::regclass AND attname = {string(self.column_name)}::name "
            "AND NOT attisdropped)"
        )

    def backfill(self) -> Backfill:
        """The backfill of the rows that were there before the trigger."""
        name, target = quoted(self.table_name, self.schema), quoted(self.column_name)
        document = self.vector.document()
        return Backfill(
            name=backfill_name(self.table_name, self.column_name, self.schema),
            table=self.table_name,
            schema=self.schema,
            key=self.key,
            key_type=self.key_type,
            statement=f"UPDATE {name} SET {target} = {document} "
            f"WHERE {{range}} AND {target} IS DISTINCT FROM {document}",
        )


def backfill_name(table_name: str, column_name: str, schema: str | None) -> str:
    """Return what the state of a search vector's backfill is kept under."""
    return ".".join([*([schema] if schema else []), table_name, column_name])
