"""What a change of type cannot carry over or convert, found before anything is lost."""

NAMED = 20  # so many keys, of so many reasons, in a message

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
    RETURN QUERY SELECT format('its type is %s, not %s', format_type(a.atttypid, a.atttypmod),
        pg_temp.pgmodern_type({existing}))
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = state.attrelid AND a.attnum = state.attnum AND {existing} IS NOT NULL
          AND format_type(a.atttypid, a.atttypmod) <> pg_temp.pgmodern_type({existing});
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

# Converts rows for trial, as only the conversion knows whether it can be done: those that meet a
# condition, or without one all of them, of which those are returned that cannot be converted.
_UNCONVERTIBLE = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_unconvertible(among text)
RETURNS TABLE (reason text, number bigint, keys text) LANGUAGE plpgsql AS $pgmodern$
DECLARE
    state record;
    present text;
BEGIN
    SELECT * INTO state FROM pg_temp.pgmodern_state();
    SELECT format_type(a.atttypid, NULL) INTO present FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = state.attrelid AND a.attnum = state.attnum;
    EXECUTE format('CREATE OR REPLACE FUNCTION pg_temp.pgmodern_reason(given %s) RETURNS text '
        'LANGUAGE plpgsql AS %L', present, format(E'#variable_conflict use_column\\n'
        'DECLARE converted %s;', state.target) || {trying});
    RETURN QUERY EXECUTE format(
        'SELECT coalesce(reason, ''it became NULL''), count(*), array_to_string('
        '(array_agg(key::text ORDER BY key))[:NAMED], '', '')'
        ' || CASE WHEN count(*) > NAMED THEN '' and '' || count(*) - NAMED || '' more'' '
        'ELSE '''' END FROM (SELECT %1$I AS key, pg_temp.pgmodern_reason(%2$I) AS reason FROM %3$s '
        'WHERE %2$I IS NOT NULL AND %4$s) AS found '
        'GROUP BY 1 ORDER BY (array_agg(key ORDER BY key))[1] LIMIT NAMED',
        {key}, {column}, state.relation,
        coalesce(among, format('pg_temp.pgmodern_reason(%I) IS NOT NULL', {column})));
    -- It would keep an extension whose type it takes from being dropped.
    EXECUTE format('DROP FUNCTION pg_temp.pgmodern_reason(%s)', present);
END
$pgmodern$
""".replace("NAMED", str(NAMED))

FUNCTIONS = (_DEPENDENTS, _DEFAULT, _TRY_KEY, _TRY, _UNCONVERTIBLE, _REFUSALS)
