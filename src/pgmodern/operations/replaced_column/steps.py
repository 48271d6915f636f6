"""The statements of each step of a change of type, decided by the catalogue.

Each function reads the catalogue anew, so a killed change goes on where it stopped.
"""

from pgmodern.operations.successor import passed_on

# What a change that was begun and given up left behind, once the way back is asked for.
_ABANDONED = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_abandoned() RETURNS SETOF text
LANGUAGE sql AS $pgmodern$
    -- ACCESS EXCLUSIVE
    SELECT unnest({drop} || format('ALTER TABLE %s DROP COLUMN %I', relation, a.attname))
    FROM pg_temp.pgmodern_state() AS state
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = state.attrelid AND a.attname = {new}
    WHERE direction = 'done'
$pgmodern$
"""

_TOASTABLE = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_is_toastable(target text) RETURNS boolean
LANGUAGE sql AS $pgmodern$
    SELECT typstorage <> 'p' FROM pg_catalog.pg_type
    WHERE oid = to_regtype(regexp_replace(target, '\\([^)]*\\)', ''))
$pgmodern$
"""

_COLLATION = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_collation(target text) RETURNS text
LANGUAGE sql AS $pgmodern$
    SELECT coalesce((
        SELECT format(' COLLATE %I.%I', n.nspname, c.collname)
        FROM pg_temp.pgmodern_state() AS state
        JOIN pg_catalog.pg_attribute AS a USING (attrelid, attnum)
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid AND t.typcollation <> a.attcollation
        JOIN pg_catalog.pg_type AS new
          ON new.oid = to_regtype(regexp_replace(target, '\\([^)]*\\)', ''))
         AND new.typcollation <> 0
        JOIN pg_catalog.pg_collation AS c ON c.oid = a.attcollation
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
        WHERE coalesce({type}, '') !~* ' collate '), '')
$pgmodern$
"""

# Adds the new column and the trigger that fills it. What another conversion left is not kept.
_BEGIN = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_begin() RETURNS SETOF text LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (
        SELECT * FROM pg_temp.pgmodern_state()
        WHERE direction = 'forth' AND NOT pg_temp.pgmodern_is_filling()
    )
    -- ACCESS EXCLUSIVE; instant, as the column is nullable and has no default
    SELECT format('ALTER TABLE %s DROP COLUMN IF EXISTS %I', relation, shadow) FROM state
    UNION ALL
    SELECT format('ALTER TABLE %s ADD COLUMN %I %s%s', relation, shadow,
        coalesce({type}, target), pg_temp.pgmodern_collation(target)) FROM state
    UNION ALL
    SELECT format('ALTER TABLE %s ALTER %I SET STORAGE %s', state.relation, shadow,
        CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                          WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)
    FROM state JOIN pg_catalog.pg_attribute AS a USING (attrelid, attnum)
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attstorage <> t.typstorage AND pg_temp.pgmodern_is_toastable(target)
    UNION ALL
    SELECT format('ALTER TABLE %s ALTER %I SET COMPRESSION %s', state.relation, shadow,
        CASE a.attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END)
    FROM state JOIN pg_catalog.pg_attribute AS a USING (attrelid, attnum)
    WHERE a.attcompression <> '' AND pg_temp.pgmodern_is_toastable(target)
    UNION ALL
    SELECT unnest({start}) FROM state
$pgmodern$
"""

# Indexes that a killed or another build left on the new column.
_LEFT = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_left() RETURNS SETOF text LANGUAGE sql AS $pgmodern$
    -- SHARE UPDATE EXCLUSIVE
    SELECT format('DROP INDEX CONCURRENTLY %s', i.indexrelid::regclass)
    FROM pg_temp.pgmodern_state() AS state
    JOIN pg_catalog.pg_index AS i ON i.indrelid = state.attrelid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND starts_with(c.relname, 'pgmodern_')
    JOIN pg_catalog.pg_attribute AS a
      ON a.attrelid = state.attrelid AND a.attname = state.shadow
    WHERE (a.attnum = ANY (i.indkey) OR EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
          AND d.refclassid = 'pg_catalog.pg_class'::regclass
          AND d.refobjid = state.attrelid AND d.refobjsubid = a.attnum))
      AND NOT (i.indisvalid AND c.relname IN (
        SELECT made FROM pg_temp.pgmodern_parts() WHERE kind = 'i'
        UNION ALL SELECT pg_temp.pgmodern_made('unconverted')))
$pgmodern$
"""

# The last one makes it instant to tell, under the swap's lock, that every row is converted.
_INDEXES = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_indexes() RETURNS SETOF text LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (SELECT * FROM pg_temp.pgmodern_state()),
    wanted AS (
        SELECT is_unique, made, definition FROM pg_temp.pgmodern_parts() WHERE kind = 'i'
        UNION ALL
        SELECT false, pg_temp.pgmodern_made('unconverted'),
            format('(%I) WHERE %I IS NOT NULL AND %I IS NULL', {key}, {column}, shadow) FROM state
    )
    -- SHARE UPDATE EXCLUSIVE
    SELECT format('CREATE %sINDEX CONCURRENTLY %I ON %s %s',
        CASE WHEN is_unique THEN 'UNIQUE ' ELSE '' END, made, relation, definition)
    FROM state CROSS JOIN wanted
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relname = wanted.made
        WHERE i.indrelid = state.attrelid)
$pgmodern$
"""

# The constraints of the new column, and the one that makes SET NOT NULL instant.
_WANTED = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_constraints()
RETURNS TABLE (made text, definition text, valid boolean) LANGUAGE sql AS $pgmodern$
    SELECT made, definition, valid FROM pg_temp.pgmodern_parts() WHERE kind IN ('c', 'f')
    UNION ALL
    SELECT pg_temp.pgmodern_made('not null'), format('CHECK (%I IS NOT NULL)', shadow), true
    FROM pg_temp.pgmodern_state() AS state JOIN pg_catalog.pg_attribute AS a
      ON a.attrelid = state.attrelid AND a.attnum = state.attnum AND a.attnotnull
$pgmodern$
"""

# What refuses writes for the new column's sake: a unique index does, even one that is not valid.
_WITHDRAWN = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_withdrawn() RETURNS SETOF text
LANGUAGE sql AS $pgmodern$
    -- ACCESS EXCLUSIVE
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', relation, k.conname)
    FROM pg_temp.pgmodern_state() AS state
    JOIN pg_catalog.pg_constraint AS k ON k.conrelid = state.attrelid
    JOIN pg_temp.pgmodern_constraints() AS wanted ON wanted.made = k.conname
    UNION ALL
    SELECT format('DROP INDEX %s', i.indexrelid::regclass)
    FROM pg_temp.pgmodern_state() AS state
    JOIN pg_catalog.pg_index AS i ON i.indrelid = state.attrelid AND i.indisunique
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_temp.pgmodern_parts() AS wanted ON wanted.kind = 'i' AND wanted.made = c.relname
$pgmodern$
"""

_CONSTRAINTS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_missing() RETURNS SETOF text LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (SELECT * FROM pg_temp.pgmodern_state()),
    wanted AS MATERIALIZED (SELECT * FROM pg_temp.pgmodern_constraints())
    -- ACCESS EXCLUSIVE
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', relation, k.conname)
    FROM state JOIN pg_catalog.pg_attribute AS a
      ON a.attrelid = state.attrelid AND a.attname = state.shadow
    JOIN pg_catalog.pg_constraint AS k
      ON k.conrelid = state.attrelid AND a.attnum = ANY (k.conkey) AND k.contype IN ('c', 'f')
    WHERE starts_with(k.conname, 'pgmodern_') AND k.conname NOT IN (SELECT made FROM wanted)
    UNION ALL
    -- ACCESS EXCLUSIVE; SHARE ROW EXCLUSIVE for a foreign key, on both tables
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', relation, made, definition,
        CASE WHEN valid THEN ' NOT VALID' ELSE '' END)
    FROM state CROSS JOIN wanted
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                      WHERE k.conrelid = state.attrelid AND k.conname = wanted.made)
$pgmodern$
"""

_VALIDATIONS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_validations() RETURNS SETOF text
LANGUAGE sql AS $pgmodern$
    -- SHARE UPDATE EXCLUSIVE; ROW SHARE on a table that a foreign key points at
    SELECT format('ALTER TABLE %s VALIDATE CONSTRAINT %I', relation, made)
    FROM pg_temp.pgmodern_state() AS state
    JOIN pg_catalog.pg_constraint AS k ON k.conrelid = state.attrelid AND NOT k.convalidated
    JOIN pg_temp.pgmodern_constraints() AS wanted ON wanted.made = k.conname AND wanted.valid
$pgmodern$
"""

# The bounds of an identity that are not those of its type.
_BOUNDS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_bounds(sequence oid) RETURNS text
LANGUAGE sql AS $pgmodern$
    SELECT CASE WHEN seqmin IN (1, -32768, -2147483648, -9223372036854775808) THEN ''
                ELSE ' MINVALUE ' || seqmin END
        || CASE WHEN seqmax IN (-1, 32767, 2147483647, 9223372036854775807) THEN ''
                ELSE ' MAXVALUE ' || seqmax END
    FROM pg_catalog.pg_sequence WHERE seqrelid = sequence
$pgmodern$
"""

_PASSED_ON = f"""
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_passed_on(old oid, new oid) RETURNS SETOF text
LANGUAGE sql AS $pgmodern$
    {passed_on("old", "new", "ours.attnum = theirs.attnum")}
$pgmodern$
"""

# All of it under ACCESS EXCLUSIVE, which is held already; nothing in it reads the table.
_SWAP = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_swap() RETURNS SETOF text LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (
        SELECT * FROM pg_temp.pgmodern_state() WHERE direction <> 'done'
    ),
    part AS MATERIALIZED (
        SELECT p.*, n.nspname, k.condeferrable, k.condeferred, state.relation,
            CASE WHEN kind = 'i' THEN k.contype END AS used_by
        FROM state CROSS JOIN pg_temp.pgmodern_parts() AS p
        JOIN pg_catalog.pg_class AS c ON c.oid = state.attrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_constraint AS k ON k.conrelid = state.attrelid AND (
            k.oid = p.part AND p.kind <> 'i'
            OR k.conindid = p.part AND p.kind = 'i' AND k.contype IN ('p', 'u'))
    ),
    replaced AS MATERIALIZED (
        SELECT state.*, a.attnotnull, a.attidentity, a.attstattarget, a.attoptions, a.attacl,
            pg_get_expr(f.adbin, f.adrelid) AS given
        FROM state JOIN pg_catalog.pg_attribute AS a USING (attrelid, attnum)
        LEFT JOIN pg_catalog.pg_attrdef AS f ON f.adrelid = attrelid AND f.adnum = attnum
    ),
    sequence AS MATERIALIZED (
        SELECT replaced.*, s.*, n.nspname, c.relname, c.oid,
            format('%I.%I', n.nspname, c.relname) AS full_name,
            format('%I.%I', n.nspname, pg_temp.pgmodern_made('sequence')) AS made
        FROM replaced JOIN pg_catalog.pg_depend AS d
          ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = replaced.attrelid
         AND d.refobjsubid = replaced.attnum AND d.classid = d.refclassid
         AND d.deptype IN ('a', 'i')
        JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = d.objid
        JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    )
    SELECT statement FROM (
        SELECT 9, pg_temp.pgmodern_passed_on(part, to_regclass(format('%I.%I', nspname, made)))
        FROM part WHERE kind = 'i'
        UNION ALL
        SELECT 10, format('ALTER TABLE %s DROP CONSTRAINT %I', relation, name)
        FROM part WHERE kind IN ('c', 'f', 'p', 'u')
        UNION ALL
        SELECT 11, format('DROP INDEX %I.%I', nspname, name)
        FROM part WHERE kind = 'i' AND used_by IS NULL
        UNION ALL
        SELECT 12, format('DROP INDEX IF EXISTS %I.%I', n.nspname,
            pg_temp.pgmodern_made('unconverted'))
        FROM state JOIN pg_catalog.pg_class AS c ON c.oid = attrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        UNION ALL
        SELECT 13, format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', relation, name, made)
        FROM part WHERE kind = 'n'
        UNION ALL
        SELECT 14, format('ALTER SEQUENCE %s RENAME TO %I', full_name,
            pg_temp.pgmodern_made('sequence'))
        FROM sequence WHERE attidentity <> ''
        UNION ALL
        SELECT 15, format('ALTER TABLE %s ALTER %I DROP DEFAULT', relation, {column})
        FROM replaced WHERE given IS NOT NULL
        UNION ALL
        SELECT 20, format('ALTER TABLE %s RENAME %I TO %I', relation, {column}, aside) FROM state
        UNION ALL
        SELECT 21, format('ALTER TABLE %s RENAME %I TO %I', relation, shadow, {column}) FROM state
        UNION ALL
        SELECT 30, format('ALTER TABLE %s ADD CONSTRAINT %I NOT NULL %I', relation, name, {column})
        FROM part WHERE kind = 'n'
        UNION ALL
        SELECT 31, format('ALTER TABLE %s ALTER %I SET NOT NULL', relation, {column})
        FROM replaced WHERE attnotnull
        UNION ALL
        SELECT 32, format('ALTER TABLE %s DROP CONSTRAINT %I', relation,
            pg_temp.pgmodern_made('not null'))
        FROM replaced WHERE attnotnull
        UNION ALL
        SELECT 33, format('ALTER TABLE %s ALTER %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s '
            'INCREMENT BY %s START WITH %s%s CACHE %s%s)', relation, {column},
            CASE attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, full_name,
            seqincrement, seqstart, pg_temp.pgmodern_bounds(oid), seqcache,
            CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END)
        FROM sequence WHERE attidentity <> ''
        UNION ALL
        SELECT 34, format('SELECT setval(%L, last_value, is_called) FROM %s', full_name, made)
        FROM sequence WHERE attidentity <> ''
        UNION ALL
        SELECT 35, format('GRANT %s ON SEQUENCE %s TO %s', acl.privilege_type, full_name,
            CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END)
        FROM sequence JOIN pg_catalog.pg_class AS c ON c.oid = sequence.oid
        CROSS JOIN aclexplode(c.relacl) AS acl
        WHERE attidentity <> '' AND acl.grantee <> c.relowner
        UNION ALL
        SELECT 36, format('ALTER TABLE %s ALTER %I DROP IDENTITY', relation, aside)
        FROM replaced WHERE attidentity <> ''
        UNION ALL
        SELECT 37, format('ALTER TABLE %s ALTER %I DROP NOT NULL', relation, aside)
        FROM replaced WHERE attnotnull
        UNION ALL
        SELECT 40, format('ALTER INDEX %I.%I RENAME TO %I', nspname, made, name)
        FROM part WHERE kind = 'i' AND used_by IS NULL
        UNION ALL
        SELECT 41, format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I%s%s', relation, name,
            CASE used_by WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, made,
            CASE WHEN condeferrable THEN ' DEFERRABLE' ELSE '' END,
            CASE WHEN condeferred THEN ' INITIALLY DEFERRED' ELSE '' END)
        FROM part WHERE kind = 'i' AND used_by IS NOT NULL  -- it has the constraint's name
        UNION ALL
        SELECT 42, format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', relation, made, name)
        FROM part WHERE kind IN ('c', 'f')
        UNION ALL
        SELECT 50, format('ALTER TABLE %s ALTER %I SET DEFAULT %s', relation, {column}, given)
        FROM replaced WHERE given IS NOT NULL
        UNION ALL
        SELECT 51, format('ALTER SEQUENCE %s%s OWNED BY %s.%I', full_name,
            CASE WHEN target IN ('smallint', 'integer', 'bigint') THEN ' AS ' || target
                 ELSE '' END, relation, {column})
        FROM sequence WHERE attidentity = ''
        UNION ALL
        SELECT 60, format('COMMENT ON COLUMN %s.%I IS %L', relation, {column},
            col_description(attrelid, attnum))
        FROM replaced WHERE col_description(attrelid, attnum) IS NOT NULL
        UNION ALL
        SELECT 61, format('COMMENT ON CONSTRAINT %I ON %s IS %L', name, relation, comment)
        FROM part CROSS JOIN obj_description(part, 'pg_constraint') AS comment
        WHERE kind <> 'i' AND comment IS NOT NULL
        UNION ALL
        SELECT 64, format('ALTER TABLE %s ALTER %I SET STATISTICS %s', relation, {column},
            attstattarget)
        FROM replaced WHERE attstattarget >= 0
        UNION ALL
        SELECT 65, format('ALTER TABLE %s ALTER %I SET (%s)', relation, {column}, option)
        FROM replaced CROSS JOIN unnest(attoptions) AS option
        WHERE starts_with(option, 'n_distinct')
        UNION ALL
        SELECT 66, format('GRANT %s (%I) ON %s TO %s%s', acl.privilege_type, {column}, relation,
            CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END,
            CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM replaced CROSS JOIN aclexplode(attacl) AS acl
        UNION ALL
        SELECT 70, unnest(CASE direction WHEN 'back' THEN {drop} ELSE {after} END) FROM state
        UNION ALL
        SELECT 80, format('ALTER TABLE %s DROP COLUMN %I', relation, aside)
        FROM state WHERE direction = 'back'
    ) AS swap (step, statement) ORDER BY step
$pgmodern$
"""

FUNCTIONS = (
    _ABANDONED,
    _TOASTABLE,
    _COLLATION,
    _BEGIN,
    _LEFT,
    _INDEXES,
    _WANTED,
    _WITHDRAWN,
    _CONSTRAINTS,
    _VALIDATIONS,
    _BOUNDS,
    _PASSED_ON,
    _SWAP,
)
