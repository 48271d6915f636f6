"""A tsvector column and the trigger that keeps it: what each operation on one knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sqlalchemy import column, table

from pgmodern.backfill import Backfill
from pgmodern.indexes.fulltext import Weight, document
from pgmodern.operations.literal import DIALECT, string
from pgmodern.operations.names import derived, fitting
from pgmodern.operations.operation import Operation
from pgmodern.quoting import quoted


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

    def document(self, row: str | None = None) -> str:
        """The SQL of the search vector of a row: of the table's, or of the variable `row`'s."""
        source = table(row, *map(column, self.sources)) if row else None
        columns = [(source.c[n] if source is not None else column(n)) for n in self.sources]
        expression = document(
            list(zip(columns, self.sources.values(), strict=True)), self.configuration
        )
        return str(expression.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))

    @property
    def source(self) -> str:
        """The source of the trigger's function, as the catalogue holds it."""
        return (
            f"\nBEGIN\n    NEW.{quoted(self.column_name)} := {self.document('new')};\n"
            "    RETURN NEW;\nEND\n"
        )

    def definitions(self) -> tuple[str, ...]:
        """The statements that make column and trigger; all are repeatable."""
        name = quoted(self.table_name, self.schema)
        # A row whose key changes may pass the backfill by.
        sources = ", ".join(map(quoted, dict.fromkeys([*self.sources, self.key])))
        trigger = trigger_name(self.table_name, self.column_name)
        function = quoted(trigger, self.schema)
        return (
            # ACCESS EXCLUSIVE; instant, as the column is nullable and has no default
            f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {quoted(self.column_name)} tsvector",
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
            f"AS {string(self.source)}",
            # SHARE ROW EXCLUSIVE
            f"CREATE OR REPLACE TRIGGER {quoted(trigger)} BEFORE INSERT OR UPDATE OF {sources} "
            f"ON {name} FOR EACH ROW EXECUTE FUNCTION {function}()",
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
        return Backfill(
            name=backfill_name(self.table_name, self.column_name, self.schema),
            table=self.table_name,
            schema=self.schema,
            key=self.key,
            key_type=self.key_type,
            statement=f"UPDATE {name} SET {target} = {self.document()} "
            f"WHERE {{range}} AND {target} IS DISTINCT FROM {self.document()}",
        )


def backfill_name(table_name: str, column_name: str, schema: str | None) -> str:
    """Return what the state of a search vector's backfill is kept under."""
    return ".".join([*([schema] if schema else []), table_name, column_name])


def trigger_name(table_name: str, column_name: str) -> str:
    """Return the name of a search vector's trigger, and of the trigger's function."""
    return derived(f"{table_name}_{column_name}", "", table_name, column_name)


_PART = re.compile(
    r"to_tsvector\(CAST\('((?:[^']|'')+)' AS REGCONFIG\), "
    r"left\(coalesce\(\"new\"\.(\"(?:[^\"]|\"\")+\"|[\w$]+), ''\), \d+\)\), '([ABCD])'\)"
)


_TARGET = re.compile(r"\s*BEGIN\s+NEW\.(\"(?:[^\"]|\"\")+\") :=")


@dataclass(frozen=True, slots=True)
class Read:
    """What a trigger's source says: which column it fills, from which, and with what words."""

    column: str
    sources: dict[str, Weight]
    configuration: str


def read_source(source: str) -> Read | None:
    """Return what a trigger does; None for a function that is not ours.

    One that was changed by hand is told by its source, which is not that of what is returned.
    """
    target, parts = _TARGET.match(source), _PART.findall(source)
    configurations = {configuration.replace("''", "'") for configuration, _, _ in parts}
    if target is None or len(configurations) != 1:
        return None
    weights = {_unquoted(name): weight for _, name, weight in parts}
    return Read(_unquoted(target[1]), weights, configurations.pop())


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
