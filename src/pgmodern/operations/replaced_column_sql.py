"""The temporary functions that decide, from the catalogue, what a change of type has to do.

Each reads the catalogue anew and returns statements, so a killed change goes on where it stopped.
`{name}` stands for a value of the change. None takes more than ACCESS SHARE on the table: only the
server knows how it writes an expression down, so it is asked on an empty temporary copy.
"""

_TYPE = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_type(declared text) RETURNS text
LANGUAGE plpgsql AS $pgmodern$
DECLARE
    -- A type is asked for many times, the last of them under the swap's lock.
    cache text := 'pgmodern.t' || md5(current_setting('search_path') || coalesce(declared, ''));
    found text := CASE WHEN declared IS NOT NULL
                       THEN nullif(current_setting(cache, true), '') END;
BEGIN
    IF found IS NOT NULL THEN
        RETURN found;
    END IF;
    BEGIN
        CREATE TEMPORARY TABLE pgmodern_like (LIKE {table});
        IF declared IS NULL THEN
            EXECUTE 'CREATE TEMPORARY TABLE pgmodern_typed AS SELECT ' || {using}
                || format(' AS it FROM (SELECT %I FROM pg_temp.pgmodern_like) AS ', {column})
                || {alias};
        ELSE
            EXECUTE 'CREATE TEMPORARY TABLE pgmodern_typed (it ' || declared || ')';
        END IF;
        SELECT format_type(atttypid, atttypmod) INTO found FROM pg_catalog.pg_attribute
        WHERE attrelid = to_regclass('pg_temp.pgmodern_typed') AND attnum = 1;
        RAISE SQLSTATE 'PGM00';
    EXCEPTION WHEN SQLSTATE 'PGM00' THEN
        NULL;
    END;
    IF declared IS NOT NULL THEN
        PERFORM set_config(cache, found, false);
    END IF;
    RETURN found;
END
$pgmodern$
"""

# `shadow` is the column that takes the place, `aside` what the replaced one is called then.
_STATE = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_state(
    OUT direction text, OUT shadow text, OUT aside text,
    OUT relation text, OUT attrelid oid, OUT attnum smallint, OUT target text
) LANGUAGE plpgsql AS $pgmodern$
DECLARE
    present text;
    kept text;
BEGIN
    relation := {relation};
    attrelid := to_regclass({relation});
    SELECT a.attnum, format_type(a.atttypid, a.atttypmod) INTO attnum, present
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = pgmodern_state.attrelid AND a.attname = {column};
    SELECT format_type(a.atttypid, a.atttypmod) INTO kept FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = pgmodern_state.attrelid AND a.attname = {old};
    direction := 'done';
    IF {existing} IS NOT NULL THEN
        IF pg_temp.pgmodern_type({existing}) <> present THEN
            RETURN;
        END IF;
    END IF;
    IF {type} IS NULL AND kept IS NOT NULL THEN
        target := kept;
    ELSE
        target := pg_temp.pgmodern_type({type});
    END IF;
    IF present = target THEN
        RETURN;
    END IF;
    direction := CASE WHEN kept = target THEN 'back' ELSE 'forth' END;
    shadow := CASE direction WHEN 'back' THEN {old} ELSE {new} END;
    aside := CASE direction WHEN 'back' THEN {new} ELSE {old} END;
END
$pgmodern$
"""

# Whether the new column is there, and is kept by a trigger of this very conversion.
_FILLING = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_is_filling() RETURNS boolean LANGUAGE sql AS $pgmodern$
    SELECT EXISTS (
        SELECT FROM pg_temp.pgmodern_state() AS state
        JOIN pg_catalog.pg_attribute AS a
          ON a.attrelid = state.attrelid AND a.attname = state.shadow
         AND format_type(a.atttypid, a.atttypmod) = state.target
        JOIN pg_catalog.pg_trigger AS t
          ON t.tgrelid = state.attrelid AND t.tgname = {trigger} AND t.tgenabled = 'A'
        JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
         AND p.prosrc = CASE state.direction WHEN 'back' THEN {keeping} ELSE {filling} END
    )
$pgmodern$
"""

_REST = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_rest(index oid) RETURNS text
LANGUAGE sql AS $pgmodern$
    SELECT substr(pg_get_indexdef(i.indexrelid), 1 + length(format('CREATE %sINDEX %I ON %I.%I ',
        CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname,
        CASE WHEN r.relnamespace = pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname END,
        r.relname)))
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class AS r ON r.oid = i.indrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
    WHERE i.indexrelid = index
$pgmodern$
"""

# The indexes (i) and constraints (c, f, p, u; n from PostgreSQL 18 on) that mention the column.
_ORIGINALS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_originals()
RETURNS TABLE (kind text, part oid, name text, definition text, is_unique boolean, valid boolean)
LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (SELECT * FROM pg_temp.pgmodern_state())
    SELECT 'i', i.indexrelid, c.relname::text, pg_temp.pgmodern_rest(i.indexrelid),
           i.indisunique, true
    FROM state
    JOIN pg_catalog.pg_index AS i ON i.indrelid = state.attrelid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    WHERE (state.attnum = ANY (i.indkey) OR EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
          AND d.refclassid = 'pg_catalog.pg_class'::regclass
          AND d.refobjid = state.attrelid AND d.refobjsubid = state.attnum))
      AND c.relname <> pg_temp.pgmodern_made('unconverted')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS x
                      WHERE x.conindid = i.indexrelid AND x.contype = 'x')
    UNION ALL
    SELECT k.contype::text, k.oid, k.conname::text, pg_get_constraintdef(k.oid), NULL,
           k.convalidated
    FROM state
    JOIN pg_catalog.pg_constraint AS k
      ON k.conrelid = state.attrelid AND state.attnum = ANY (k.conkey)
    WHERE k.contype IN ('c', 'f', 'p', 'u', 'n')
    ORDER BY 1, 3
$pgmodern$
"""

_MADE = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_made(what text) RETURNS text LANGUAGE sql AS $pgmodern$
    SELECT 'pgmodern_' || md5({trigger} || ' ' || what)
$pgmodern$
"""

_COLUMNS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_columns(part oid, instead text) RETURNS text
LANGUAGE sql AS $pgmodern$
    SELECT 'FOREIGN KEY (' || string_agg(quote_ident(
        CASE a.attname WHEN {column} THEN instead ELSE a.attname END), ', ' ORDER BY number) || ')'
    FROM pg_catalog.pg_constraint AS k
    CROSS JOIN unnest(k.conkey) WITH ORDINALITY AS used (attnum, number)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = used.attnum
    WHERE k.oid = part
$pgmodern$
"""

# The originals, as they read of the new column; `made` is the name that each has till the swap.
_PARTS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_parts()
RETURNS TABLE (kind text, part oid, name text, definition text, made text,
               is_unique boolean, valid boolean)
LANGUAGE plpgsql AS $pgmodern$
DECLARE
    state record;
    original record;
    found jsonb := '[]';
    reads text;
BEGIN
    SELECT * INTO state FROM pg_temp.pgmodern_state();
    BEGIN
        CREATE TEMPORARY TABLE pgmodern_copy (LIKE {table});
        EXECUTE format('ALTER TABLE pg_temp.pgmodern_copy DROP COLUMN IF EXISTS %I', state.shadow);
        FOR original IN SELECT * FROM pg_temp.pgmodern_originals() LOOP
            IF original.kind = 'i' THEN
                EXECUTE format('CREATE %sINDEX %I ON pg_temp.pgmodern_copy %s',
                    CASE WHEN original.is_unique THEN 'UNIQUE ' ELSE '' END,
                    'pgmodern_' || original.part, original.definition);
            ELSIF original.kind = 'c' THEN
                EXECUTE format('ALTER TABLE pg_temp.pgmodern_copy ADD CONSTRAINT %I %s',
                    'pgmodern_' || original.part, original.definition);
            END IF;
        END LOOP;
        EXECUTE format('ALTER TABLE pg_temp.pgmodern_copy RENAME %I TO %I',
            {column}, state.shadow);
        FOR original IN SELECT * FROM pg_temp.pgmodern_originals() LOOP
            reads := CASE original.kind
                WHEN 'i' THEN pg_temp.pgmodern_rest(
                    to_regclass('pg_temp.pgmodern_' || original.part))
                WHEN 'c' THEN (SELECT pg_get_constraintdef(k.oid)
                    FROM pg_catalog.pg_constraint AS k
                    WHERE k.conrelid = to_regclass('pg_temp.pgmodern_copy')
                      AND k.conname = 'pgmodern_' || original.part)
                WHEN 'f' THEN pg_temp.pgmodern_columns(original.part, state.shadow)
                    || substr(original.definition,
                              1 + length(pg_temp.pgmodern_columns(original.part, {column})))
                ELSE original.definition END;
            found := found || jsonb_build_object(
                'kind', original.kind, 'part', original.part::text, 'name', original.name,
                'definition', reads, 'valid', original.valid, 'is_unique', original.is_unique,
                'made', pg_temp.pgmodern_made(original.name || ' ' || reads));
        END LOOP;
        RAISE SQLSTATE 'PGM00';
    EXCEPTION WHEN SQLSTATE 'PGM00' THEN
        NULL;
    END;
    RETURN QUERY SELECT * FROM jsonb_to_recordset(found) AS each (
        kind text, part oid, name text, definition text, made text,
        is_unique boolean, valid boolean);
END
$pgmodern$
"""

# What nothing of ours would carry over, as far as the catalogue knows.
_DEPENDENTS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_dependents() RETURNS SETOF text
LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (SELECT * FROM pg_temp.pgmodern_state())
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) || ' depends on it'
    FROM state
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass
     AND d.refobjid = state.attrelid AND d.refobjsubid = state.attnum
    LEFT JOIN pg_catalog.pg_constraint AS k
      ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_catalog.pg_attrdef AS f
      ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND f.oid = d.objid
    LEFT JOIN pg_catalog.pg_index AS i
      ON d.classid = 'pg_catalog.pg_class'::regclass AND i.indexrelid = d.objid
    LEFT JOIN pg_catalog.pg_class AS s
      ON d.classid = 'pg_catalog.pg_class'::regclass AND s.oid = d.objid AND s.relkind = 'S'
    WHERE s.oid IS NULL
      AND (i.indrelid = state.attrelid) IS NOT TRUE
      AND (f.adrelid = state.attrelid AND f.adnum = state.attnum) IS NOT TRUE
      AND (k.conrelid = state.attrelid AND k.contype IN ('c', 'f', 'p', 'u', 'n')
           AND (state.attnum = ANY (k.confkey) AND k.confrelid = k.conrelid) IS NOT TRUE
          ) IS NOT TRUE
    UNION ALL
    SELECT format('index %s is the replica identity', c.relname)
    FROM state JOIN pg_temp.pgmodern_originals() AS o ON o.kind = 'i'
    JOIN pg_catalog.pg_index AS i ON i.indexrelid = o.part AND i.indisreplident
    JOIN pg_catalog.pg_class AS c ON c.oid = o.part
    UNION ALL
    SELECT format('constraint %s sets it to NULL or a default by a list of columns', k.conname)
    FROM state JOIN pg_catalog.pg_constraint AS k
      ON k.conrelid = state.attrelid AND state.attnum = ANY (k.confdelsetcols)
    UNION ALL
    SELECT format('index %s lies in a tablespace of its own', o.name)
    FROM pg_temp.pgmodern_originals() AS o
    JOIN pg_catalog.pg_class AS c ON c.oid = o.part AND c.reltablespace <> 0
    WHERE o.kind = 'i'
    UNION ALL
    SELECT format('trigger %s fires after ours and could write it', t.tgname)
    FROM state JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = state.attrelid
    JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
     AND NOT (p.proname = t.tgname AND p.proname ~ '^zz_.*_[0-9a-f]{8}$')  -- of another column
    WHERE t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0 AND NOT t.tgisinternal
      AND t.tgname COLLATE "C" > {trigger} COLLATE "C"
    UNION ALL
    SELECT 'it is a generated column' FROM state JOIN pg_catalog.pg_attribute AS a
      ON a.attrelid = state.attrelid AND a.attnum = state.attnum AND a.attgenerated <> ''
    UNION ALL
    SELECT 'an identity has to be an integer' FROM state JOIN pg_catalog.pg_attribute AS a
      ON a.attrelid = state.attrelid AND a.attnum = state.attnum AND a.attidentity <> ''
    WHERE state.target NOT IN ('smallint', 'integer', 'bigint')
$pgmodern$
"""

# A default is assigned, not converted by `using`: both must come to the same.
_DEFAULT = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_default_is_same(given text, target text)
RETURNS boolean LANGUAGE plpgsql AS $pgmodern$
DECLARE
    state record;
    same boolean;
BEGIN
    SELECT * INTO state FROM pg_temp.pgmodern_state();
    IF EXISTS (
        SELECT FROM pg_catalog.pg_attrdef AS f
        JOIN pg_catalog.pg_depend AS d
          ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid
        JOIN pg_catalog.pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
        WHERE f.adrelid = state.attrelid AND f.adnum = state.attnum) THEN
        RETURN true;
    END IF;
    EXECUTE format('CREATE TEMPORARY TABLE pgmodern_default AS SELECT %2$I AS before, '
        '%2$I::text AS first, %2$I::text AS second FROM %1$s WHERE false',
        state.relation, {column});
    EXECUTE format('ALTER TABLE pg_temp.pgmodern_default ADD assigned %1$s, ADD converted %1$s',
        target);
    EXECUTE format('INSERT INTO pg_temp.pgmodern_default SELECT %1$s, (%1$s)::text, '
        '(%1$s)::text, %1$s', given);
    EXECUTE 'INSERT INTO pg_temp.pgmodern_default (converted) SELECT ' || {using}
        || format(' FROM (SELECT before AS %I FROM pg_temp.pgmodern_default) AS ', {column})
        || {alias};
    SELECT min(first) <> min(second)
        OR min(assigned::text) IS NOT DISTINCT FROM min(converted::text)
    INTO same FROM pg_temp.pgmodern_default;
    RETURN same;
END
$pgmodern$
"""

_TRY_KEY = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_try_key(part oid, shadow text) RETURNS void
LANGUAGE plpgsql AS $pgmodern$
BEGIN
    EXECUTE (
        SELECT format('SELECT FROM pg_temp.pgmodern_copy AS a, %s AS b WHERE a.%I = b.%I LIMIT 0',
            k.confrelid::regclass, shadow, b.attname)
        FROM pg_catalog.pg_constraint AS k
        CROSS JOIN unnest(k.conkey, k.confkey) AS used (here, there)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = used.here
        JOIN pg_catalog.pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = used.there
        WHERE k.oid = part AND a.attname = {column});
END
$pgmodern$
"""

# Tries the conversion, the default and each part on an empty table that has the new type.
_TRY = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_try() RETURNS text LANGUAGE plpgsql AS $pgmodern$
DECLARE
    state record;
    found jsonb;
    each record;
    given text;
    same boolean := true;
    trouble text;
BEGIN
    SELECT * INTO state FROM pg_temp.pgmodern_state();
    SELECT jsonb_agg(to_jsonb(p)) INTO found FROM pg_temp.pgmodern_parts() AS p;
    SELECT pg_get_expr(f.adbin, f.adrelid) INTO given FROM pg_catalog.pg_attrdef AS f
    WHERE f.adrelid = state.attrelid AND f.adnum = state.attnum;
    BEGIN
        CREATE TEMPORARY TABLE pgmodern_copy (LIKE {table});
        EXECUTE format('ALTER TABLE pg_temp.pgmodern_copy DROP COLUMN IF EXISTS %1$I, '
            'ADD COLUMN %1$I %2$s', state.shadow, state.target);
        EXECUTE format('INSERT INTO pg_temp.pgmodern_copy (%I) SELECT ', state.shadow)
            || {using} || format(' FROM (SELECT %I FROM pg_temp.pgmodern_copy) AS ', {column})
            || {alias};
        IF given IS NOT NULL THEN
            trouble := ' (its default)';
            EXECUTE format('ALTER TABLE pg_temp.pgmodern_copy ALTER %I SET DEFAULT %s',
                state.shadow, given);
            same := pg_temp.pgmodern_default_is_same(given, state.target);
        END IF;
        FOR each IN SELECT * FROM jsonb_to_recordset(found)
            AS p (kind text, name text, part oid, definition text, is_unique boolean)
        LOOP
            trouble := ' (' || each.name || ')';
            IF each.kind = 'i' THEN
                EXECUTE format('CREATE %sINDEX pgmodern_tried ON pg_temp.pgmodern_copy %s',
                    CASE WHEN each.is_unique THEN 'UNIQUE ' ELSE '' END, each.definition);
                DROP INDEX pg_temp.pgmodern_tried;
            ELSIF each.kind = 'c' THEN
                EXECUTE format('ALTER TABLE pg_temp.pgmodern_copy ADD %s', each.definition);
            ELSIF each.kind = 'f' THEN
                PERFORM pg_temp.pgmodern_try_key(each.part, state.shadow);
            END IF;
        END LOOP;
        trouble := CASE WHEN NOT same THEN 'its default would become another value than '
            'the conversion of ' || given END;
        RAISE SQLSTATE 'PGM00';
    EXCEPTION
        WHEN SQLSTATE 'PGM00' THEN NULL;
        WHEN OTHERS THEN trouble := SQLERRM || coalesce(trouble, '');
    END;
    RETURN trouble;
END
$pgmodern$
"""

_REFUSALS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_refusals() RETURNS TABLE (cause text)
LANGUAGE plpgsql AS $pgmodern$
DECLARE
    table_ pg_catalog.pg_class;
    state record;
BEGIN
    SELECT * INTO table_ FROM pg_catalog.pg_class WHERE oid = to_regclass({relation});
    IF table_.relkind IS DISTINCT FROM 'r' THEN
        RETURN QUERY SELECT 'there is no such table, or it is partitioned';
        RETURN;
    END IF;
    RETURN QUERY SELECT format('the table has no column %I', named) FROM unnest(
        ARRAY[{column}, {key}]) AS named WHERE NOT EXISTS (
            SELECT FROM pg_catalog.pg_attribute
            WHERE attrelid = table_.oid AND attname = named AND NOT attisdropped);
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO state FROM pg_temp.pgmodern_state();
    IF state.direction = 'done' THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT 'the table inherits or is inherited from' WHERE EXISTS (
        SELECT FROM pg_catalog.pg_inherits WHERE table_.oid IN (inhrelid, inhparent));
    RETURN QUERY SELECT 'row security hides rows from this role'
        WHERE row_security_active(table_.oid);
    RETURN QUERY SELECT 'an earlier change left ' || quote_ident({old})
        || ', which op.drop_replaced_column drops'
        WHERE CASE state.direction
            WHEN 'back' THEN NOT pg_temp.pgmodern_is_filling()
            ELSE EXISTS (SELECT FROM pg_catalog.pg_attribute
                         WHERE attrelid = table_.oid AND attname = {old}) END;
    RETURN QUERY SELECT * FROM pg_temp.pgmodern_dependents();
    IF NOT EXISTS (SELECT FROM pg_temp.pgmodern_dependents()) THEN
        RETURN QUERY SELECT tried FROM pg_temp.pgmodern_try() AS tried WHERE tried IS NOT NULL;
    END IF;
END
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

# All of it under ACCESS EXCLUSIVE, which is held already; nothing in it reads the table.
_SWAP = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_swap() RETURNS SETOF text LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (
        SELECT * FROM pg_temp.pgmodern_state() WHERE direction <> 'done'
    ),
    part AS MATERIALIZED (
        SELECT p.*, n.nspname, k.condeferrable, k.condeferred, state.relation,
            CASE WHEN kind = 'i' THEN k.contype END AS used_by,
            obj_description(p.part, CASE kind WHEN 'i' THEN 'pg_class' ELSE 'pg_constraint' END)
                AS comment
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
        SELECT 61, format('COMMENT ON INDEX %I.%I IS %L', nspname, name, comment)
        FROM part WHERE kind = 'i' AND comment IS NOT NULL
        UNION ALL
        SELECT 62, format('COMMENT ON CONSTRAINT %I ON %s IS %L', name, relation, comment)
        FROM part WHERE kind <> 'i' AND comment IS NOT NULL
        UNION ALL
        SELECT 63, format('ALTER TABLE %s CLUSTER ON %I', relation, name)
        FROM part JOIN pg_catalog.pg_index AS i ON i.indexrelid = part AND i.indisclustered
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

FUNCTIONS = (
    _TYPE,
    _STATE,
    _FILLING,
    _MADE,
    _REST,
    _COLUMNS,
    _ORIGINALS,
    _PARTS,
    _DEPENDENTS,
    _DEFAULT,
    _TRY_KEY,
    _TRY,
    _REFUSALS,
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
    _SWAP,
)
