"""A partitioned table takes the place of the table, which becomes its first partition."""

from pgmodern.operations.partitions.intervals import COMMENT, EXTEND
from pgmodern.operations.partitions.locked import LOCK
from pgmodern.operations.partitions.names import fitted, named_after
from pgmodern.operations.partitions.tuned import tuned

KEEP_AS_IT_IS = """
    -- Against an index or a trigger that would come in between; in the way of no read and no write
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', origin);
"""

# The new table is nobody else's to see yet.
PREPARE_PARENT = f"""
    PERFORM set_config('default_tablespace', coalesce((
        SELECT spcname FROM pg_catalog.pg_tablespace WHERE oid = own.reltablespace), ''), true);
    made := 'pgmodern_' || own.oid;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED '
        'INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS) '
        'PARTITION BY RANGE (%I)', place, made, origin, key);
    parent := to_regclass(format('%I.%I', place, made));
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', parent, check_name);
    EXECUTE format('ALTER TABLE %s OWNER TO %I', parent, pg_get_userbyid(own.relowner));
{tuned("origin", "parent")}"""

# Renaming an index locks it SHARE UPDATE EXCLUSIVE, and its table not at all.
MOVE_INDEXES = f"""
    made := '_until_' || {named_after("bound")};
    FOR each IN
        SELECT class.oid, class.relname::text AS name, pg_get_indexdef(class.oid) AS definition,
            format('CREATE %sINDEX %I ON %s USING ', CASE WHEN indisunique THEN 'UNIQUE ' END,
                class.relname, origin) AS opening,
            conname, pg_get_constraintdef(c.oid) AS condef, obj_description(c.oid) AS concomment,
            obj_description(class.oid, 'pg_class') AS comment, spcname
        FROM pg_catalog.pg_index JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
        LEFT JOIN pg_catalog.pg_constraint AS c
            ON conindid = indexrelid AND conrelid = indrelid AND contype IN ('p', 'u')
        LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid = class.reltablespace
        WHERE indrelid = origin ORDER BY class.oid
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', each.oid::regclass,
            {fitted("each.name", "made")});
        PERFORM set_config('default_tablespace', coalesce(each.spcname, ''), true);
        IF each.conname IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s',
                parent, each.conname, each.condef);
            EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L',
                each.conname, parent, each.concomment);
        ELSE
            EXECUTE format('CREATE %sINDEX %I ON %s USING %s',
                CASE WHEN each.definition LIKE 'CREATE UNIQUE %' THEN 'UNIQUE ' END,
                each.name, parent, substr(each.definition, length(each.opening) + 1));
        END IF;
        EXECUTE format('COMMENT ON INDEX %I.%I IS %L', place, each.name, each.comment);
    END LOOP;
"""

MOVE_STATISTICS = f"""
    facts := (
        SELECT jsonb_agg(jsonb_build_object('name', stxname,
            'owner', pg_get_userbyid(stxowner),
            'definition', pg_get_statisticsobjdef(oid), 'target', to_jsonb(s) ->> 'stxstattarget',
            'comment', obj_description(oid, 'pg_statistic_ext')) ORDER BY oid)
        FROM pg_catalog.pg_statistic_ext AS s WHERE stxrelid = origin);
    FOR each IN
        SELECT nspname, stxname::text AS name FROM pg_catalog.pg_statistic_ext AS s
        JOIN pg_catalog.pg_namespace AS n ON n.oid = stxnamespace WHERE stxrelid = origin
    LOOP
        EXECUTE format('ALTER STATISTICS %I.%I RENAME TO %I', each.nspname, each.name,
            {fitted("each.name", "made")});
    END LOOP;
"""

EXTEND_FROM_BOUND = f"""
    until := bound;
    pattern := origin;
{EXTEND}"""

LOCK_TABLE = f"""
    giver := origin;
    taker := parent;
    number := (
        SELECT count(*) FROM pg_catalog.pg_depend
        WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid = origin
        AND (classid, objid) IN (
            SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint
            WHERE contype = 'f'
            UNION SELECT 'pg_catalog.pg_class'::regclass, oid FROM pg_catalog.pg_class
            WHERE relkind = 'S'));
{LOCK}"""

EXCHANGE = f"""
    made := '_until_' || {named_after("bound")};
    made := {fitted("base", "made")};
    EXECUTE format('ALTER TABLE %s RENAME TO %I', origin, made);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', parent, base);
    EXECUTE format('COMMENT ON TABLE %s IS %L', origin, '{COMMENT}' || step);
"""

CREATE_STATISTICS = """
    FOR each IN SELECT fact FROM jsonb_array_elements(facts) AS fact LOOP
        EXECUTE each.fact ->> 'definition';
    END LOOP;
    FOR each IN
        SELECT format('%I.%I', nspname, stxname) AS name, fact ->> 'comment' AS comment,
            fact ->> 'owner' AS owner, (fact ->> 'target')::int AS target
        FROM jsonb_array_elements(facts) AS fact
        JOIN pg_catalog.pg_statistic_ext ON stxname = fact ->> 'name' AND stxrelid = parent
        JOIN pg_catalog.pg_namespace AS n ON n.oid = stxnamespace
    LOOP
        EXECUTE format('ALTER STATISTICS %s OWNER TO %I', each.name, each.owner);
        EXECUTE format('COMMENT ON STATISTICS %s IS %L', each.name, each.comment);
        IF each.target >= 0 THEN
            EXECUTE format('ALTER STATISTICS %s SET STATISTICS %s', each.name, each.target);
        END IF;
    END LOOP;
"""

# ATTACH takes the foreign keys of the first partition for these, and checks no row again.
ATTACH = """
    FOR each IN
        SELECT conname, pg_get_constraintdef(oid) AS definition,
            obj_description(oid, 'pg_constraint') AS comment
        FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND contype = 'f' AND conparentid = 0 ORDER BY oid
    LOOP
        -- SHARE ROW EXCLUSIVE on the table that it points at
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s',
            parent, each.conname, each.definition);
        EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', each.conname, parent, each.comment);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%L)',
        parent, origin, bound);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', origin, check_name);
"""
