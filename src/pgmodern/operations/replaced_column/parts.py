"""What state a change of type is in, and what belongs to the column, from the catalogue.

Temporary functions of the database, in which `{name}` stands for a value of the change. None takes
more than ACCESS SHARE on the table: only the server knows how it writes an expression down, so it
is asked on an empty temporary copy.
"""

from pgmodern.operations.successor import tablespace

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
    IF {type} IS NULL AND {existing} IS NOT NULL THEN  -- the way back, and it was gone already
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

_MADE = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_made(what text) RETURNS text LANGUAGE sql AS $pgmodern$
    SELECT 'pgmodern_' || md5({trigger} || ' ' || what)
$pgmodern$
"""

# What follows the table's name in a definition; no definition tells the tablespace.
_REST = f"""
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_rest(index oid, original oid) RETURNS text
LANGUAGE sql AS $pgmodern$
    SELECT left(rest, length(rest) - length(predicate))
        || format(' TABLESPACE %I', ({tablespace("original")})) || predicate
    FROM (
        SELECT coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') AS predicate,
            substr(pg_get_indexdef(i.indexrelid), 1 + length(format('CREATE %sINDEX %I ON %I.%I ',
                CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname,
                CASE WHEN r.relnamespace = pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname END,
                r.relname))) AS rest
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_class AS r ON r.oid = i.indrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
        WHERE i.indexrelid = index
    ) AS defined
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

# The indexes (i) and constraints (c, f, p, u; n from PostgreSQL 18 on) that mention the column.
_ORIGINALS = """
CREATE OR REPLACE FUNCTION pg_temp.pgmodern_originals()
RETURNS TABLE (kind text, part oid, name text, definition text, is_unique boolean, valid boolean)
LANGUAGE sql AS $pgmodern$
    WITH state AS MATERIALIZED (SELECT * FROM pg_temp.pgmodern_state())
    SELECT 'i', i.indexrelid, c.relname::text, pg_temp.pgmodern_rest(i.indexrelid, i.indexrelid),
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
                    to_regclass('pg_temp.pgmodern_' || original.part), original.part)
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

FUNCTIONS = (_TYPE, _STATE, _FILLING, _MADE, _REST, _COLUMNS, _ORIGINALS, _PARTS)
