"""One column that takes the place of another: its names, its trigger, and what it must carry over.

What there is to do is decided in the database, by temporary functions that read the catalogue and
return statements, so that a script does what a live run does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgmodern.backfill import Backfill
from pgmodern.names import derived
from pgmodern.operations.replaced_column import parts, refusals, steps
from pgmodern.quoting import quoted, string

_FUNCTIONS = parts.FUNCTIONS + refusals.FUNCTIONS + steps.FUNCTIONS
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
UNCONVERTED, STALE = "PGM01", "PGM02"  # the sqlstates by which the swap says that it is not time
NAMED = refusals.NAMED


_OWN = re.compile(r"__(new|old)_[0-9a-f]{8}$")


def is_own_name(column: str) -> bool:
    """Tell the columns that stand beside a replaced one from the application's."""
    return bool(_OWN.search(column))


@dataclass(frozen=True, slots=True)
class ReplacedColumn:
    """A column, and the names of what stands beside it while its type changes."""

    table: str
    column: str
    schema: str | None = None

    @property
    def relation(self) -> str:
        """The quoted, possibly qualified name of the table."""
        return quoted(self.table, self.schema)

    @property
    def new(self) -> str:
        """The column that is filled with the converted values."""
        return derived(self.column, "_new", self.table, self.column)

    @property
    def old(self) -> str:
        """The column as it was, after the swap."""
        return derived(self.column, "_old", self.table, self.column)

    @property
    def trigger(self) -> str:
        """The trigger, and its function; the last to fire, as others may write the column too."""
        return derived(f"zz_{self.table}_{self.column}", "", self.table, self.column)

    @property
    def function(self) -> str:
        """The quoted, possibly qualified name of the function."""
        return quoted(self.trigger, self.schema)

    def keeping(self, target: str, expression: str) -> str:
        """The trigger's body: `target` holds what the expression makes of the column.

        A value that cannot be converted must not fail the application's write: it is left NULL.
        One that did not change is not converted again: the way back may lose precision.
        """
        column, kept = quoted(self.column), quoted(target)
        return f"""
#variable_conflict use_column
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.{kept} := OLD.{kept};
        IF NEW.{kept} IS NOT NULL AND (SELECT before *= after FROM
                (SELECT OLD.{column}) AS before, (SELECT NEW.{column}) AS after) THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.{kept} := (SELECT {expression} FROM (SELECT NEW.{column} AS {column})
        AS {quoted(self.table)});
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    NEW.{kept} := NULL;
    RETURN NEW;
END
"""

    def create_function(self, body: str) -> str:
        """The statement that makes the function; it converts alike whoever writes."""
        return (
            f"CREATE OR REPLACE FUNCTION {self.function}() RETURNS trigger LANGUAGE plpgsql "
            "SET search_path FROM CURRENT SET timezone FROM CURRENT SET datestyle FROM CURRENT "
            f"SET intervalstyle FROM CURRENT AS {string(body)}"
        )

    def create_trigger(self) -> tuple[str, ...]:
        """The statements that make the trigger; it fires for replicated rows too."""
        name = quoted(self.trigger)
        return (
            # SHARE ROW EXCLUSIVE both
            f"CREATE OR REPLACE TRIGGER {name} BEFORE INSERT OR UPDATE ON {self.relation} "
            f"FOR EACH ROW EXECUTE FUNCTION {self.function}()",
            f"ALTER TABLE {self.relation} ENABLE ALWAYS TRIGGER {name}",
        )

    def drop(self) -> tuple[str, ...]:
        """The statements that end the keeping of the old column, and drop it; ACCESS EXCLUSIVE."""
        return (
            f"DROP TRIGGER IF EXISTS {quoted(self.trigger)} ON {self.relation}",
            f"DROP FUNCTION IF EXISTS {self.function}()",
            f"ALTER TABLE {self.relation} DROP COLUMN IF EXISTS {quoted(self.old)}",
        )


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """What a change of type has to do, as SQL; `type` None is the type of `using`."""

    names: ReplacedColumn
    type: str | None
    using: str | None
    reverse_using: str | None
    existing_type: str | None
    key: str
    key_type: str
    rehearse: bool = False

    @property
    def expression(self) -> str:
        """What is assigned to the new column."""
        return f"({self.using})" if self.using else quoted(self.names.column)

    @property
    def functions(self) -> tuple[str, ...]:
        """The statements that make the temporary functions, for this change."""
        values = self._values()
        return tuple(_PLACEHOLDER.sub(lambda found: values[found[1]], each) for each in _FUNCTIONS)

    def backfill(self) -> Backfill:
        """The backfill: it touches the rows, the trigger converts them."""
        new, column = quoted(self.names.new), quoted(self.names.column)
        rows = f"{self.names.relation} AS {quoted(self.names.table)}"
        return Backfill(
            name=self.names.trigger if not self.names.schema else self.names.function,
            table=self.names.table,
            key=self.key,
            key_type=self.key_type,
            statement=f"UPDATE {rows} SET {new} = NULL "
            # Most expressions leave a NULL as it is: a row that holds one is not written.
            f"WHERE {{range}} AND {new} IS NULL AND CASE WHEN {column} IS NOT NULL THEN true "
            f"ELSE {self.expression} IS NOT NULL END",
            schema=self.names.schema,
        )

    def _values(self) -> dict[str, str]:
        names = self.names
        filling = names.keeping(names.new, self.expression)
        return {
            "table": names.relation,
            "relation": string(names.relation),
            "column": string(names.column),
            "alias": string(quoted(names.table)),
            "new": string(names.new),
            "old": string(names.old),
            "key": string(self.key),
            "type": _or_null(self.type),
            "existing": _or_null(self.existing_type),
            "using": string(self.expression),
            "trigger": string(names.trigger),
            "function": string(names.function),
            "filling": string(filling),
            "keeping": string(names.keeping(names.old, self.expression)),
            "trying": string(self._trying()),
            "start": _array((names.create_function(filling), *names.create_trigger())),
            "after": _array(self._after()),
            "drop": _array(names.drop()[:2]),
            "unconverted": string(UNCONVERTED),
        }

    def _trying(self) -> str:
        """The body of a function that says why a value cannot be converted, or returns NULL."""
        return f"""
BEGIN
    converted := (SELECT {self.expression} FROM (SELECT given AS {quoted(self.names.column)})
        AS {quoted(self.names.table)});
    RETURN CASE WHEN converted IS NULL THEN 'it becomes NULL' END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END
"""

    def _after(self) -> tuple[str, ...]:
        if self.reverse_using is None:
            return self.names.drop()[:2]
        body = self.names.keeping(self.names.old, f"({self.reverse_using})")
        return (self.names.create_function(body),)


def _or_null(value: str | None) -> str:
    return "NULL" if value is None else string(value)


def _array(values: tuple[str, ...]) -> str:
    return f"ARRAY[{', '.join(map(string, values))}]"
