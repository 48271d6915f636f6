"""The application's tables and indexes as the catalogue holds them.

Nothing here asks PostgreSQL to deparse: that would lock the table, and wait for whoever holds it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text


def _qualifier(schema: str, oid: str) -> str:
    """The schema as a revision has to name it: not at all where everybody finds the object."""
    return f"CASE WHEN {schema} <> 'public' OR NOT pg_table_is_visible({oid}) THEN {schema} END"


TABLES = f"""
    SELECT class.oid, nspname AS schema, relname AS table_name, relkind, relispartition,
           {_qualifier("nspname", "class.oid")} AS qualifier
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend
                      WHERE classid = 'pg_catalog.pg_class'::regclass
                        AND objid = class.oid AND deptype = 'e')
"""
# Where in the statement an expression stood, and how a call or cast was written, is kept with it.
_TREE = "regexp_replace({tree}::text, ' :(location|[a-z]+format) -?[0-9]+', '', 'g')"
# Who builds an index holds its table, who drops it concurrently holds itself. That a session builds
# one is everybody's to see, which one is not.
_INDEXES = text(rf"""
    WITH tables AS ({TABLES}),
    locked AS MATERIALIZED (
        SELECT relation, mode, pid IN (SELECT pid FROM pg_catalog.pg_stat_progress_create_index)
               AS builds
        FROM pg_catalog.pg_locks AS lock
        JOIN pg_catalog.pg_database ON pg_database.oid = lock.database
        WHERE locktype = 'relation' AND granted AND datname = current_database()
    )
    SELECT index.indexrelid AS oid, index.indrelid AS table_oid, tables.schema, tables.table_name,
           class.relname AS name, class.relkind = 'I' AS is_partitioned, amname AS method,
           {_qualifier("tables.schema", "class.oid")} AS qualifier,
           ARRAY(SELECT unnest(indkey)) AS columns,
           ARRAY(SELECT unnest(indclass)) AS opclasses,
           ARRAY(SELECT unnest(indcollation)) AS collations,
           ARRAY(SELECT unnest(indoption)) AS options,
           coalesce({_TREE.format(tree="indexprs")}, '') AS expressions,
           coalesce({_TREE.format(tree="indpred")}, '') AS predicate,
           ARRAY(SELECT unnest(class.reloptions) AS option ORDER BY option) AS parameters,
           indisunique AS is_unique, indimmediate AS is_immediate, indisprimary AS is_primary,
           indnullsnotdistinct AS nulls_not_distinct,
           inhrelid IS NOT NULL AS is_attached,
           conname AS constraint_name,
           indisreplident OR indisclustered OR inhrelid IS NOT NULL
           OR indexrelid IN (SELECT conindid FROM pg_catalog.pg_constraint) AS is_pinned,
           indisvalid AND indisready AND indislive AS is_valid,
           NOT (indisvalid AND indisready AND indislive) AND EXISTS (
                   SELECT FROM locked
                   WHERE relation = indrelid AND builds
                      OR relation = indexrelid AND mode = 'ShareUpdateExclusiveLock') AS is_busy
    FROM pg_catalog.pg_index AS index
    JOIN tables ON tables.oid = indrelid
    JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
    JOIN pg_catalog.pg_am AS method ON method.oid = relam
    LEFT JOIN pg_catalog.pg_inherits ON inhrelid = indexrelid
    LEFT JOIN pg_catalog.pg_constraint ON conindid = indexrelid AND contype IN ('p', 'u', 'x')
    ORDER BY tables.schema, tables.table_name, indexrelid
""")


@dataclass(frozen=True, slots=True)
class Key:
    """One key column of an index; `column` is 0 for an expression."""

    column: int
    opclass: int
    collation: int
    option: int


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An index of the application's.

    `expressions` is the list of them, up to its last; so one that starts like another's is told
    by its text. `is_pinned`: a constraint, a replica identity, CLUSTER or a partitioned index
    needs it. `is_busy`: it is not valid, and somebody is building or dropping it, or might be.
    """

    oid: int
    table_oid: int
    schema: str
    qualifier: str | None
    table_name: str
    name: str
    method: str
    keys: tuple[Key, ...]
    included: frozenset[int]
    expressions: str
    predicate: str
    parameters: tuple[str, ...]
    constraint_name: str | None
    is_unique: bool
    is_immediate: bool
    is_primary: bool
    nulls_not_distinct: bool
    is_partitioned: bool
    is_attached: bool
    is_pinned: bool
    is_valid: bool
    is_busy: bool


def by_table(indexes: Iterable[StoredIndex]) -> dict[int, list[StoredIndex]]:
    """Return the indexes of each table, in their order; of a table without any, none."""
    tables = defaultdict[int, list[StoredIndex]](list)
    for index in indexes:
        tables[index.table_oid].append(index)
    return tables


def stored_indexes(connection: Connection) -> list[StoredIndex]:
    """Return the indexes of all tables of the application, the oldest of a table first."""
    return [_index(dict(row)) for row in connection.execute(_INDEXES).mappings()]


def _index(row: dict[str, Any]) -> StoredIndex:
    columns, options = row.pop("columns"), row.pop("options")
    keys = zip(columns, row.pop("opclasses"), row.pop("collations"), options, strict=False)
    return StoredIndex(
        keys=tuple(Key(*each) for each in keys),
        included=frozenset(columns[len(options) :]),
        expressions=row.pop("expressions").removesuffix(")"),
        parameters=tuple(row.pop("parameters")),
        **row,
    )


def database_name(connection: Connection) -> str:
    """Return the name of the database that is looked at."""
    return str(connection.scalar(text("SELECT current_database()")))
