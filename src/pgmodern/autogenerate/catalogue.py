"""What the database has of what Alembic does not reflect, read at once for all tables."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from pgmodern import extensions
from pgmodern.indexes.catalogue import DEFINITION, Definition
from pgmodern.operations.foreign_key import ForeignKey

Name = tuple[str | None, str]
"""A schema, None for the one that tables are created in, and the name of something in it."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index, and of what it holds the names as they are written in SQL.

    A column's name is None where it is an expression, an operator class's or a collation's where
    it is the default of what is indexed. `depends_on` are the columns with which it would go.
    One that is attached is a part of a partitioned table's.
    """

    definition: Definition
    column_names: list[str | None]
    opclasses: list[str | None]
    collations: list[str | None]
    depends_on: list[str]
    is_attached: bool


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint: `definition` is what follows its name, without NOT VALID.

    One that is `special` is NO INHERIT, or not enforced: no operation makes that.
    """

    name: str
    definition: str
    condition: str
    columns: list[str]
    is_valid: bool
    is_special: bool


@dataclass(frozen=True, slots=True)
class Unique:
    """A UNIQUE or exclusion constraint: `definition` is what follows its name."""

    name: str
    definition: str
    columns: list[str]

    def excludes(self, column: str) -> bool:
        """Whether it is an exclusion constraint that holds a column."""
        return self.definition.startswith("EXCLUDE") and column in self.columns


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated column's expression, and whether it is stored."""

    expression: str
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger, and the source of the function that it calls.

    `kind` is pg_trigger.tgtype, `columns` are those of UPDATE OF.
    """

    name: str
    source: str
    is_enabled: bool
    kind: int
    columns: list[str]


@dataclass(frozen=True, slots=True)
class Size:
    """About how many rows a table holds, and how many bytes with its indexes."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Key:
    """A column by which a table is walked through in batches, and its type."""

    column: str
    type: str


@dataclass(slots=True)
class Catalogue:
    """What the schemas that are compared hold."""

    indexes: dict[Name, Index] = field(default_factory=dict)
    checks: dict[Name, dict[str, Check]] = field(default_factory=dict)
    generated: dict[tuple[Name, str], Generated] = field(default_factory=dict)
    triggers: dict[Name, dict[str, Trigger]] = field(default_factory=dict)
    partitioned: dict[Name, str] = field(default_factory=dict)
    partitions: set[Name] = field(default_factory=set)
    sizes: dict[Name, Size] = field(default_factory=dict)
    keys: dict[Name, Key] = field(default_factory=dict)
    extensions: dict[str, str] = field(default_factory=dict)
    replaced_columns: set[tuple[Name, str]] = field(default_factory=set)
    references: dict[Name, list[ForeignKey]] = field(default_factory=dict)
    uniques: dict[Name, dict[str, Unique]] = field(default_factory=dict)


_INDEXES = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, class.relname AS name,
           ARRAY(SELECT CASE WHEN part.attnum > 0 THEN part.attname END
                 FROM unnest(index.indkey) WITH ORDINALITY AS held (attnum, number)
                 LEFT JOIN pg_catalog.pg_attribute AS part
                   ON part.attrelid = index.indrelid AND part.attnum = held.attnum
                 ORDER BY number) AS column_names,
           ARRAY(SELECT CASE WHEN used.opcdefault THEN NULL
                             WHEN pg_opclass_is_visible(used.oid) THEN quote_ident(used.opcname)
                             ELSE format('%I.%I', used.opcnamespace::regnamespace::text,
                                         used.opcname) END
                 FROM unnest(index.indclass) WITH ORDINALITY AS held (opclass, number)
                 JOIN pg_catalog.pg_opclass AS used ON used.oid = held.opclass
                 ORDER BY number) AS held_opclasses,
           ARRAY(SELECT CASE WHEN held.rules NOT IN
                               (0, coalesce(part.attcollation, 'pg_catalog.default'::regcollation))
                             THEN held.rules::regcollation::text END
                 FROM unnest(index.indkey::int2[], index.indcollation::oid[])
                   WITH ORDINALITY AS held (attnum, rules, number)
                 LEFT JOIN pg_catalog.pg_attribute AS part
                   ON part.attrelid = index.indrelid AND part.attnum = held.attnum
                 WHERE number <= index.indnkeyatts ORDER BY number) AS held_collations,
           ARRAY(SELECT DISTINCT part.attname FROM pg_catalog.pg_depend
                 JOIN pg_catalog.pg_attribute AS part
                   ON part.attrelid = refobjid AND part.attnum = refobjsubid
                 WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = index.indexrelid
                   AND refclassid = classid AND refobjid = index.indrelid) AS depends_on,
           class.relispartition AS is_attached,
{DEFINITION}
    JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
    WHERE {{where}}
"""
_THESE = "space.nspname = ANY (:schemas)"
_CHECKS = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, relname AS table_name,
           conname AS name, convalidated AS is_valid,
           regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', '') AS definition,
           pg_get_expr(conbin, conrelid) AS condition,
           ARRAY(SELECT attname FROM pg_catalog.pg_attribute
                 WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS columns,
           connoinherit OR NOT coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
               AS is_special
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS class ON class.oid = conrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    WHERE contype = 'c' AND {_THESE}
"""
_UNIQUES = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, relname AS table_name,
           conname AS name, pg_get_constraintdef(c.oid) AS definition,
           ARRAY(SELECT attname FROM pg_catalog.pg_attribute
                 WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS columns
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS class ON class.oid = conrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    WHERE contype IN ('u', 'x') AND {_THESE}
"""
_GENERATED = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, relname AS table_name, attname,
           pg_get_expr(adbin, adrelid) AS expression, attgenerated = 's' AS is_stored
    FROM pg_catalog.pg_attribute
    JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
    JOIN pg_catalog.pg_class AS class ON class.oid = attrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    WHERE attgenerated <> '' AND {_THESE}
"""
_TRIGGERS = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, relname AS table_name,
           tgname AS name, prosrc AS source, tgenabled IN ('O', 'A') AS is_enabled,
           tgtype AS kind,
           ARRAY(SELECT attname FROM pg_catalog.pg_attribute
                 WHERE attrelid = tgrelid AND attnum = ANY (tgattr)) AS columns
    FROM pg_catalog.pg_trigger
    JOIN pg_catalog.pg_proc AS function ON function.oid = tgfoid
    JOIN pg_catalog.pg_class AS class ON class.oid = tgrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    WHERE NOT tgisinternal AND {_THESE}
"""
_TABLES = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, relname AS name, relispartition,
           CASE WHEN relkind = 'p' THEN pg_get_partkeydef(class.oid) END AS partition_key,
           greatest(reltuples, 0)::bigint AS rows,
           CASE WHEN relkind = 'r' THEN pg_total_relation_size(class.oid) ELSE 0 END AS bytes
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND {_THESE}
"""
# The primary key where it is one column, else a unique column that is never NULL.
_KEYS = f"""
    SELECT DISTINCT ON (class.oid) nullif(space.nspname, current_schema()) AS schema,
           relname AS name, attname, format_type(atttypid, NULL) AS type
    FROM pg_catalog.pg_index
    JOIN pg_catalog.pg_class AS class ON class.oid = indrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    JOIN pg_catalog.pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
    WHERE indisunique AND indisvalid AND indimmediate AND indnkeyatts = 1 AND indpred IS NULL
      AND attnotnull AND {_THESE}
    ORDER BY class.oid, indisprimary DESC, indexrelid
"""
_ACTIONS = "'a', NULL, 'r', 'RESTRICT', 'c', 'CASCADE', 'n', 'SET NULL', 'd', 'SET DEFAULT'"
_REFERENCES = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, class.relname AS name,
           conname, source.relname AS source_table,
           nullif(beside.nspname, current_schema()) AS source_schema,
           ARRAY(SELECT attname FROM pg_catalog.pg_attribute
                 JOIN unnest(conkey) WITH ORDINALITY AS held (attnum, number) USING (attnum)
                 WHERE attrelid = conrelid ORDER BY number) AS local_cols,
           ARRAY(SELECT attname FROM pg_catalog.pg_attribute
                 JOIN unnest(confkey) WITH ORDINALITY AS held (attnum, number) USING (attnum)
                 WHERE attrelid = confrelid ORDER BY number) AS remote_cols,
           json_object(ARRAY[{_ACTIONS}]) ->> confupdtype::text AS onupdate,
           json_object(ARRAY[{_ACTIONS}]) ->> confdeltype::text AS ondelete,
           nullif(condeferrable, false) AS deferrable,
           CASE WHEN condeferred THEN 'DEFERRED' END AS initially,
           CASE WHEN confmatchtype = 'f' THEN 'FULL' END AS match
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS class ON class.oid = confrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
    JOIN pg_catalog.pg_class AS source ON source.oid = conrelid
    JOIN pg_catalog.pg_namespace AS beside ON beside.oid = source.relnamespace
    WHERE contype = 'f' AND conparentid = 0 AND {_THESE}
"""
# What op.change_column_type_online keeps of a column, under a name of its own.
_REPLACED = f"""
    SELECT nullif(space.nspname, current_schema()) AS schema, relname AS table_name, attname
    FROM pg_catalog.pg_attribute
    JOIN pg_catalog.pg_class AS class ON class.oid = attrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    WHERE attname LIKE '%\\_\\_old\\_________' AND NOT attisdropped AND {_THESE}
"""


def read(connection: Connection, schemas: Collection[str | None]) -> Catalogue:
    """Read what the schemas hold; locks nothing but catalogues."""
    given = {"schemas": list(_named(connection, schemas))}

    def rows(query: str) -> Iterator[RowMapping]:
        return iter(connection.execute(text(query), given).mappings())

    found = Catalogue(extensions=extensions.installed(connection))
    found.indexes = dict(indexes(connection, _THESE, given))
    found.checks = _by_table(rows(_CHECKS), Check)
    found.uniques = _by_table(rows(_UNIQUES), Unique)
    found.triggers = _by_table(rows(_TRIGGERS), Trigger)
    for row in rows(_GENERATED):
        column = ((row["schema"], row["table_name"]), row["attname"])
        found.generated[column] = Generated(row["expression"], row["is_stored"])
    for row in rows(_TABLES):
        name = (row["schema"], row["name"])
        found.sizes[name] = Size(row["rows"], row["bytes"])
        if row["relispartition"]:
            found.partitions.add(name)
        elif row["partition_key"] is not None:
            found.partitioned[name] = row["partition_key"]
    found.keys = {
        (row["schema"], row["name"]): Key(row["attname"], row["type"]) for row in rows(_KEYS)
    }
    found.replaced_columns = {
        ((row["schema"], row["table_name"]), row["attname"]) for row in rows(_REPLACED)
    }
    found.references = _references(rows(_REFERENCES))
    return found


def _references(rows: Iterator[RowMapping]) -> dict[Name, list[ForeignKey]]:
    """Return the foreign keys that point at each table."""
    found: dict[Name, list[ForeignKey]] = defaultdict(list)
    for row in rows:
        found[row["schema"], row["name"]].append(
            ForeignKey(
                row["conname"],
                row["source_table"],
                row["name"],
                row["local_cols"],
                row["remote_cols"],
                row["onupdate"],
                row["ondelete"],
                row["deferrable"],
                row["initially"],
                row["match"],
                row["source_schema"],
                row["schema"],
            )
        )
    return dict(found)


def indexes(
    connection: Connection, where: str, given: dict[str, Any]
) -> Iterator[tuple[Name, Index]]:
    """Yield the indexes that meet a condition in SQL, on `index`, `class` and `space`."""
    names = [each.name for each in fields(Definition)]
    for row in connection.execute(text(_INDEXES.format(where=where)), given).mappings():
        definition = Definition(**{name: row[name] for name in names})
        columns = row["column_names"], row["held_opclasses"], row["held_collations"]
        yield (
            (row["schema"], row["name"]),
            Index(definition, *columns, row["depends_on"], row["is_attached"]),
        )


def _named(connection: Connection, schemas: Collection[str | None]) -> Iterator[str]:
    for schema in schemas:
        named = schema or connection.dialect.default_schema_name
        if named is not None:
            yield named


def _by_table(rows: Iterator[RowMapping], kind: Any) -> dict[Name, dict[str, Any]]:
    found: dict[Name, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        values = {each.name: row[each.name] for each in fields(kind)}
        found[row["schema"], row["table_name"]][row["name"]] = kind(**values)
    return dict(found)
