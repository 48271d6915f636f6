"""A database's schema as its catalogue has it: equal for equal schemas.

It is read in a tenth of the time of pg_dump, over a connection that stays open, and says more: of
indexes that are invalid, of extensions' versions. Whole rows of the system catalogs are compared,
with names in the place of object ids and expressions as PostgreSQL deparses them. Which column
refers to what is asked of the server (`pg_get_catalog_foreign_keys`), so that a column that a
later version adds is compared, and not forgotten. What somebody grants on an extension's objects,
or on those of initdb, is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg

# FirstNormalObjectId in access/transam.h; objects below it are initdb's.
USER = ">= 16384"

# These may differ between equal schemas: sizes, flags that are only hints, numbers that a dropped
# column shifts, and row types and array types, whose names PostgreSQL makes up.
VOLATILE = {
    "pg_attribute": {"attnum", "attcacheoff", "atthasmissing", "attmissingval"},
    "pg_class": {
        *("relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen"),
        *("relfrozenxid", "relminmxid", "relrewrite", "relnatts", "reltoastrelid", "reltype"),
        *("relhasindex", "relhasrules", "relhastriggers", "relhassubclass"),
    },
    "pg_depend": {"objsubid", "refobjsubid"},
    "pg_description": {"objsubid"},
    "pg_enum": {"oid"},
    "pg_index": {"indcheckxmin"},
    "pg_seclabel": {"objsubid"},
    "pg_type": {"typarray", "typrelid"},
}
# These hold no schema: rows, statistics, what initdb granted, what a subscription has copied.
LEFT_OUT = {
    *("pg_init_privs", "pg_largeobject", "pg_largeobject_metadata"),
    *("pg_statistic", "pg_statistic_ext_data", "pg_subscription_rel"),
}
# The relation whose columns the expressions of a catalog name.
RELATION = {
    "pg_attrdef": "t.adrelid",
    "pg_class": "t.oid",
    "pg_constraint": "t.conrelid",
    "pg_index": "t.indrelid",
    "pg_partitioned_table": "t.partrelid",
    "pg_policy": "t.polrelid",
    "pg_proc": "0",
    "pg_publication_rel": "t.prrelid",
    "pg_statistic_ext": "t.stxrelid",
    "pg_type": "0",
}


def _identity(catalog: str, number: str, column: str = "0") -> str:
    return f"(SELECT identity FROM pg_identify_object({catalog}, {number}, {column}))"


def _attribute(relation: str, number: str) -> str:
    return f"(SELECT attname FROM pg_attribute WHERE attrelid = {relation} AND attnum = {number})"


def _each(numbers: str, name: str) -> str:
    """Return the names, in order, of an array of numbers; `name` is that of `number`."""
    unnested = f"unnest({numbers}) WITH ORDINALITY AS numbers (number, place)"
    return f"(SELECT array_agg({name} ORDER BY place) FROM {unnested})"


def _privileges(acl: str, kind: str, owner: str) -> str:
    """Return the privileges in a fixed order; those that NULL stands for are written out."""
    granted = f"unnest(coalesce({acl}, acldefault({kind}, {owner})))"
    return f"(SELECT array_agg(item ORDER BY item) FROM (SELECT {granted}::text AS item) AS items)"


def _constraint(number: str) -> str:
    return _identity("'pg_constraint'::regclass", number)


def _unless_of_a_referent(value: str) -> str:
    """Return NULL for what PostgreSQL makes of a foreign key for a partition it refers to."""
    parent = (
        "SELECT FROM pg_constraint AS p WHERE p.oid = t.conparentid AND p.conrelid = t.conrelid"
    )
    return f"CASE WHEN NOT EXISTS ({parent}) THEN {value} END"


# Columns that are compared as something else than what they hold.
WRITTEN = {
    # An index's column keeps the name that the table's column had when the index was built.
    ("pg_attribute", "attname"): "CASE WHEN (SELECT relkind FROM pg_class WHERE oid = t.attrelid)"
    " NOT IN ('i', 'I') THEN t.attname END",
    # PostgreSQL 17.12 keeps a log position there.
    ("pg_attribute", "attoptions"): "(SELECT array_agg(option) FROM unnest(t.attoptions) AS option"
    " WHERE option NOT LIKE 'pg_attver=%')",
    ("pg_class", "relacl"): _privileges(
        "t.relacl", """(CASE t.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char\"""", "t.relowner"
    ),
    ("pg_namespace", "nspacl"): _privileges("t.nspacl", "'n'", "t.nspowner"),
    ("pg_proc", "proacl"): _privileges("t.proacl", "'f'", "t.proowner"),
    ("pg_type", "typacl"): _privileges("t.typacl", "'T'", "t.typowner"),
    # PostgreSQL numbers these as they come.
    ("pg_constraint", "conname"): _unless_of_a_referent("t.conname"),
    ("pg_constraint", "conparentid"): _unless_of_a_referent(_constraint("t.conparentid")),
    ("pg_constraint", "oid"): _unless_of_a_referent(_constraint("t.oid")),
    # Of a foreign key it says how the key came, and nothing else.
    ("pg_constraint", "connoinherit"): "t.connoinherit AND t.contype IN ('c', 'n')",
    ("pg_constraint", "confdelsetcols"): _each(
        "t.confdelsetcols", _attribute("t.conrelid", "number")
    ),
    ("pg_enum", "enumsortorder"): "rank() OVER (PARTITION BY t.enumtypid ORDER BY enumsortorder)",
    ("pg_proc", "prosqlbody"): "pg_get_function_sqlbody(t.oid)",
    ("pg_publication_rel", "prattrs"): _each(
        "t.prattrs::int2[]", _attribute("t.prrelid", "number")
    ),
    ("pg_rewrite", "ev_action"): "pg_get_ruledef(t.oid)",
    ("pg_rewrite", "ev_qual"): "NULL",  # the line above has it
    ("pg_trigger", "tgqual"): "pg_get_triggerdef(t.oid)",
}
# Keys of any catalog: where the row says of which, and of which part.
POLYMORPHIC = {
    "objid": ("classid", "objsubid"),
    "objoid": ("classoid", "objsubid"),
    "refobjid": ("refclassid", "refobjsubid"),
}
ADDED = {
    "pg_class": {
        "toast_options": "(SELECT reloptions FROM pg_class AS r WHERE r.oid = t.reltoastrelid)"
    },
    "pg_attribute": {"position": "count(*) OVER (PARTITION BY t.attrelid ORDER BY t.attnum)"},
}


def _permanent(relation: str) -> str:
    return (
        f"EXISTS (SELECT FROM pg_class AS r WHERE r.oid = {relation}"
        " AND r.relpersistence <> 't' AND r.relnamespace <> 'pg_toast'::regnamespace)"
    )


# The rows that count, where these are not all whose first key is a user's.
ROWS = {
    "pg_attribute": f"t.attrelid {USER} AND t.attnum > 0 AND NOT t.attisdropped"
    f" AND {_permanent('t.attrelid')}",
    "pg_class": f"t.oid {USER} AND {_permanent('t.oid')}",
    # Which extension an object depends on, and which column owns a sequence.
    "pg_depend": "t.deptype = 'x' OR (t.deptype = 'a' AND t.refobjsubid > 0"
    " AND t.classid = 'pg_class'::regclass"
    " AND EXISTS (SELECT FROM pg_class WHERE oid = t.objid AND relkind = 'S'))",
    "pg_description": f"t.objoid {USER} OR t.classoid = 'pg_namespace'::regclass",
    "pg_extension": "true",
    "pg_index": f"t.indexrelid {USER} AND {_permanent('t.indexrelid')}",
    "pg_namespace": r"t.nspname NOT LIKE 'pg\_%' AND t.nspname <> 'information_schema'",
    "pg_seclabel": "true",
    "pg_trigger": f"t.oid {USER} AND NOT t.tgisinternal",
    "pg_type": f"t.oid {USER} AND (t.typrelid = 0"
    " OR EXISTS (SELECT FROM pg_class WHERE oid = t.typrelid AND relkind = 'c'))"
    " AND NOT EXISTS (SELECT FROM pg_type AS element WHERE element.typarray = t.oid)",
}
# The catalog and the key of the object by which a row belongs to an extension. An extension's own
# objects follow from its version.
MEMBER = {
    "pg_amop": ("'pg_opfamily'::regclass", "t.amopfamily"),
    "pg_amproc": ("'pg_opfamily'::regclass", "t.amprocfamily"),
    "pg_depend": ("t.classid", "t.objid"),
    "pg_description": ("t.classoid", "t.objoid"),
    "pg_enum": ("'pg_type'::regclass", "t.enumtypid"),
    "pg_seclabel": ("t.classoid", "t.objoid"),
}

CATALOGS = """
    SELECT relname, array_agg(ARRAY[attname, atttypid::regtype::text] ORDER BY attnum)
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    WHERE relkind = 'r' AND NOT relisshared AND relnamespace = 'pg_catalog'::regnamespace
    GROUP BY relname ORDER BY relname
"""
FOREIGN_KEYS = """
    SELECT fktable::regclass::text, fkcols, pktable::regclass::text, is_array
    FROM pg_get_catalog_foreign_keys()
"""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a column of a catalog refers to: objects, or columns of the relation in `relation`."""

    catalog: str
    many: bool
    relation: str | None

    def written(self, column: str) -> str:
        """Return the name, or the names, in the place of the numbers."""
        if not self.many:
            return self._name(column)
        return _each(f"{column}::{'int2' if self.relation else 'oid'}[]", self._name("number"))

    def _name(self, number: str) -> str:
        if self.relation is None:
            return _identity(f"'{self.catalog}'::regclass", number)
        return _attribute(f"t.{self.relation}", number)


References = Mapping[str, Reference]
_STATEMENTS: dict[int, bytes] = {}


def describe(connection: psycopg.Connection) -> list[str]:
    """Return a line for each row of the catalogs that says something of the schema.

    The connection is in autocommit mode and serves nothing else: its search_path is changed, so
    that every name is written with its schema. Takes ACCESS SHARE on the catalogs.
    """
    version = connection.info.server_version
    if version not in _STATEMENTS:
        _STATEMENTS[version] = _statement(connection)
    connection.execute("SET search_path = pg_catalog")
    return [line for (line,) in connection.execute(_STATEMENTS[version], prepare=True)]


def _statement(connection: psycopg.Connection) -> bytes:
    references: dict[str, dict[str, Reference]] = {}
    for table, columns, catalog, many in connection.execute(FOREIGN_KEYS):
        relation = columns[0] if len(columns) > 1 else None
        references.setdefault(table, {})[columns[-1]] = Reference(catalog, many, relation)
    rows = (
        _rows(catalog, dict(columns), references.get(catalog, {}))
        for catalog, columns in connection.execute(CATALOGS)
        if catalog not in LEFT_OUT
    )
    return (" UNION ALL ".join(rows) + " ORDER BY 1").encode()


def _rows(catalog: str, types: Mapping[str, str], references: References) -> str:
    pairs = ", ".join(f"'{name}', {value}" for name, value in _values(catalog, types, references))
    key = next(iter(types))
    rows = ROWS.get(catalog, f"t.{key} {USER}")
    of = references[key].catalog if key in references else catalog
    owner, number = MEMBER.get(catalog, (f"'{of}'::regclass", f"t.{key}"))
    return (
        f"SELECT '{catalog} ' || jsonb_build_object({pairs})::text FROM {catalog} AS t"
        f" WHERE ({rows}) AND NOT EXISTS (SELECT FROM pg_depend AS member"
        f" WHERE member.deptype = 'e' AND member.classid = {owner} AND member.objid = {number})"
    )


def _values(
    catalog: str, types: Mapping[str, str], references: References
) -> Iterator[tuple[str, str]]:
    for name, kind in types.items():
        column = f"t.{name}"
        if (catalog, name) in WRITTEN:
            yield name, WRITTEN[catalog, name]
        elif name in VOLATILE.get(catalog, ()):
            continue
        elif name == "oid":
            yield name, _identity(f"'{catalog}'::regclass", column)
        elif name in POLYMORPHIC:
            of, part = POLYMORPHIC[name]
            yield name, _identity(f"t.{of}", column, f"t.{part}")
        elif name in references:
            yield name, references[name].written(column)
        elif kind == "pg_node_tree":
            yield name, f"pg_get_expr({column}, {RELATION[catalog]})"
        else:
            yield name, column
    yield from ADDED.get(catalog, {}).items()
