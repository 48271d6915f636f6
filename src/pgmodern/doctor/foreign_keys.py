"""Foreign keys whose referencing columns no index serves."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from pgmodern.doctor.catalogue import TABLES, StoredIndex, by_table, stored_indexes
from pgmodern.doctor.cure import create_index
from pgmodern.doctor.diagnosis import Diagnosis, Kind
from pgmodern.names import derived, fitting
from pgmodern.quoting import quoted

KINDS = (Kind.UNINDEXED_FOREIGN_KEY,)

_COLUMN = """ARRAY(SELECT {} FROM unnest(conkey) WITH ORDINALITY AS key (attnum, place)
                 JOIN pg_catalog.pg_attribute USING (attnum)
                 WHERE attrelid = conrelid ORDER BY place)"""
# From PostgreSQL 18 a foreign key may be one that is not enforced: it never looks for a row.
_FOREIGN_KEYS = text(f"""
    WITH tables AS ({TABLES})
    SELECT conname AS name, tables.oid AS table_oid, tables.schema, tables.qualifier,
           tables.table_name, tables.relkind = 'p' AS is_partitioned, class.relname AS referent,
           conkey AS columns, {_COLUMN.format("attname::text")} AS names,
           {_COLUMN.format("attcollation")} AS collations
    FROM pg_catalog.pg_constraint AS found
    JOIN tables ON tables.oid = conrelid
    JOIN pg_catalog.pg_class AS class ON class.oid = confrelid
    WHERE contype = 'f' AND conparentid = 0
      AND coalesce((to_jsonb(found) ->> 'conenforced')::boolean, true)
    ORDER BY tables.schema, tables.table_name, conname
""")
_FREE = text("SELECT to_regclass(:name) IS NULL")

# `column IS NOT NULL`, and several of them, as PostgreSQL keeps a predicate.
_NOT_NULL = re.compile(
    r"\{NULLTEST :arg \{VAR [^{}]*:varattno (\d+) [^{}]*\} :nulltesttype 1 [^{}]*\}"
)
_ALL_OF = re.compile(r"|\{BOOLEXPR :boolop and :args \( *\)\}")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of a table of the application's; of a partitioned one, not its partitions'."""

    name: str
    table_oid: int
    schema: str
    qualifier: str | None
    table_name: str
    is_partitioned: bool
    referent: str
    columns: list[int]
    names: list[str]
    collations: list[int]


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find foreign keys for which a delete in the referenced table reads the whole other one."""
    indexes = by_table(stored_indexes(connection))
    for key in foreign_keys(connection):
        if not any(serves(index, key) for index in indexes[key.table_oid]):
            yield Diagnosis(
                Kind.UNINDEXED_FOREIGN_KEY,
                "warning",
                key.schema,
                key.table_name,
                key.name,
                f"no index on ({', '.join(key.names)}): each delete or change of key in "
                f"{key.referent} reads all of {key.table_name}",
                _cure(connection, key),
            )


def foreign_keys(connection: Connection) -> list[ForeignKey]:
    """Return the foreign keys that are enforced."""
    return [ForeignKey(**row) for row in connection.execute(_FOREIGN_KEYS).mappings()]


def serves(index: StoredIndex, key: ForeignKey) -> bool:
    """Tell whether an index of the table finds what references a row: it begins with the key.

    In any order, and in the columns' own collations. A partial index serves when all that it
    leaves out is NULL in the key, which references nothing.
    """
    wanted = set(zip(key.columns, key.collations, strict=True))
    leading = {(each.column, each.collation) for each in index.keys[: len(wanted)]}
    return (
        index.is_valid
        and index.method != "brin"
        and leading == wanted
        and _leaves_out_only_null(index.predicate, key.columns)
    )


def _leaves_out_only_null(predicate: str, columns: Sequence[int]) -> bool:
    tested = {int(column) for column in _NOT_NULL.findall(predicate)}
    return tested <= set(columns) and bool(_ALL_OF.fullmatch(_NOT_NULL.sub("", predicate)))


def _cure(connection: Connection, key: ForeignKey) -> str:
    name = fitting(f"ix_{key.table_name}_{'_'.join(key.names)}")
    if not connection.scalar(_FREE, {"name": quoted(name, key.schema)}):
        name = derived(name, "fk")  # an index of that name would be replaced
    return create_index(
        name, key.table_name, key.names, key.qualifier, partitioned=key.is_partitioned
    )
