"""What an index passes on to the one that takes its place, beyond its definition."""


def passed_on(old: str, new: str, same: str) -> str:
    """Return the query for the statements that give an index what hangs on its predecessor.

    Its comment, the mark of CLUSTER (where the new one can have it), the statistics targets of its
    expressions and the extensions that it depends on. `old` and `new` are oids as SQL; `same` is
    the condition on which a column of `theirs`, the new one's, is one of `ours` (pg_attribute).
    The statements lock the table, or the index, SHARE UPDATE EXCLUSIVE.
    """
    return f"""
    SELECT format('COMMENT ON INDEX %s IS %L', {new}::regclass, description)
    FROM obj_description({old}, 'pg_class') AS description WHERE description IS NOT NULL
    UNION ALL
    SELECT format('ALTER TABLE %s CLUSTER ON %I', theirs.indrelid::regclass, class.relname)
    FROM pg_catalog.pg_index AS ours
    JOIN pg_catalog.pg_index AS theirs ON theirs.indexrelid = {new} AND theirs.indpred IS NULL
    JOIN pg_catalog.pg_class AS class ON class.oid = theirs.indexrelid
    WHERE ours.indexrelid = {old} AND ours.indisclustered
      AND pg_index_has_property(theirs.indexrelid, 'clusterable')
    UNION ALL
    SELECT format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', {new}::regclass,
        theirs.attnum, ours.attstattarget)
    FROM pg_catalog.pg_attribute AS ours
    JOIN pg_catalog.pg_attribute AS theirs ON theirs.attrelid = {new} AND {same}
    JOIN pg_catalog.pg_index AS index
      ON index.indexrelid = theirs.attrelid AND index.indkey[theirs.attnum - 1] = 0
    WHERE ours.attrelid = {old} AND ours.attstattarget >= 0
    UNION ALL
    SELECT format('ALTER INDEX %s DEPENDS ON EXTENSION %I', {new}::regclass, extension.extname)
    FROM pg_catalog.pg_depend AS depend
    JOIN pg_catalog.pg_extension AS extension ON extension.oid = depend.refobjid
    WHERE depend.classid = 'pg_catalog.pg_class'::regclass AND depend.objid = {old}
      AND depend.refclassid = 'pg_catalog.pg_extension'::regclass AND depend.deptype = 'x'"""


def tablespace(index: str) -> str:
    """Return the query for the name of the tablespace that an index, an oid as SQL, lies in."""
    return f"""
    SELECT space.spcname FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_database AS here ON here.datname = current_database()
    JOIN pg_catalog.pg_tablespace AS space
      ON space.oid = coalesce(nullif(class.reltablespace, 0), here.dattablespace)
    WHERE class.oid = {index}"""
