"""A search vector: the tsvector of some columns, and the trigger that keeps it in another one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, Text, cast, column, func, literal, table
from sqlalchemy.dialects.postgresql import REGCONFIG, TSVECTOR

from pgmodern.names import derived
from pgmodern.quoting import DIALECT, quoted, string

Weight = Literal["A", "B", "C", "D"]
LONGEST_DOCUMENT = 200_000


def _inline(value: str) -> ColumnElement[str]:
    # Not literal_column: an index would take that for the column that leads it to its table.
    return literal(value, Text, literal_execute=True)


def _regconfig(configuration: str) -> ColumnElement[Any]:
    return cast(_inline(configuration), REGCONFIG)


def document(
    sources: Sequence[tuple[ColumnElement[Any], Weight]], configuration: str
) -> ColumnElement[Any]:
    """Return the weighted tsvector of some columns; one builder for the index and the trigger.

    Of each column it takes the first 200,000 characters (of several, their share of that), so
    that the vector stays below its limit of 1 MB, beyond which every INSERT would fail.
    """
    share = literal(LONGEST_DOCUMENT // len(sources), Integer, literal_execute=True)
    parts: list[ColumnElement[Any]] = [
        func.setweight(
            func.to_tsvector(
                _regconfig(configuration), func.left(func.coalesce(column, _inline("")), share)
            ),
            _inline(weight),
            type_=TSVECTOR,
        )
        for column, weight in sources
    ]
    return reduce(lambda left, right: left.op("||", return_type=TSVECTOR())(right), parts)


@dataclass(frozen=True, slots=True)
class SearchVector:
    """What a trigger keeps in a column, from the source columns, each with its weight.

    `key` is a column by which a backfill walks through the table.
    """

    table_name: str
    column_name: str
    sources: Mapping[str, Weight]
    configuration: str
    key: str
    schema: str | None = None

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

    def definitions(self) -> tuple[str, str]:
        """The statements that make function and trigger; both are repeatable."""
        # A row whose key changes may pass the backfill by.
        sources = ", ".join(map(quoted, dict.fromkeys([*self.sources, self.key])))
        trigger = trigger_name(self.table_name, self.column_name)
        function = quoted(trigger, self.schema)
        return (
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
            f"AS {string(self.source)}",
            # SHARE ROW EXCLUSIVE
            f"CREATE OR REPLACE TRIGGER {quoted(trigger)} BEFORE INSERT OR UPDATE OF {sources} "
            f"ON {quoted(self.table_name, self.schema)} "
            f"FOR EACH ROW EXECUTE FUNCTION {function}()",
        )


def dropping(table_name: str, column_name: str, schema: str | None) -> tuple[str, str]:
    """Return the statements that drop trigger and function; both are repeatable."""
    trigger = trigger_name(table_name, column_name)
    return (
        # ACCESS EXCLUSIVE
        f"DROP TRIGGER IF EXISTS {quoted(trigger)} ON {quoted(table_name, schema)}",
        f"DROP FUNCTION IF EXISTS {quoted(trigger, schema)}()",
    )


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
