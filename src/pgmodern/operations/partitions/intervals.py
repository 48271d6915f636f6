"""The partitions that come next, each of the interval of the one before it."""

from pgmodern.operations.partitions.names import fitted, named_after
from pgmodern.operations.partitions.tuned import tuned

COMMENT = "pgmodern: a partition by "  # and the interval, on every partition that is ours

# The bounds of a default partition, and of one by several columns, are NULL.
SPLIT = """
        SELECT inhrelid::regclass AS part,
            substring(pg_get_expr(relpartbound, oid) FROM 'FROM \\(''?([^'')]*)''?\\) TO') AS lower,
            substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''?([^'')]*)''?\\)$') AS upper,
            obj_description(oid, 'pg_class') AS comment
        FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class ON oid = inhrelid
        WHERE inhparent = origin
"""

_OURS = f"comment LIKE '{COMMENT}%'"

# Counts the partitions that are still to begin: those above the highest key, or above now.
FIND_LAST = f"""
    SELECT attname, atttypid::regtype::text INTO made, kind
    FROM pg_catalog.pg_partitioned_table
    JOIN pg_catalog.pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE partrelid = origin AND partstrat = 'r' AND partnatts = 1;
    IF kind IS NULL OR NOT EXISTS (SELECT FROM ({SPLIT}) AS divided WHERE {_OURS}) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s has no partitions of op.partition_table_online.', origin),
            HINT = 'Partition it with op.partition_table_online first.';
    END IF;
    IF kind IN ('bigint', 'integer', 'smallint') THEN
        EXECUTE format('SELECT coalesce(max(%I), 0)::text FROM %s', made, origin) INTO reached;
    ELSE
        reached := now()::text;
    END IF;
    FOR each IN {SPLIT} LOOP
        IF each.{_OURS} THEN
            EXECUTE format('SELECT %1$L::%2$s > %3$L::%2$s', each.upper, kind, until)
                INTO is_beyond;
            IF is_beyond OR until IS NULL THEN
                until := each.upper;
                pattern := each.part;
                step := substr(each.comment, length('{COMMENT}') + 1);
            END IF;
        END IF;
        IF each.lower <> 'MINVALUE' THEN
            EXECUTE format('SELECT %1$L::%2$s > %3$L::%2$s', each.lower, kind, reached)
                INTO is_beyond;
            beyond := beyond + is_beyond::int;
        END IF;
    END LOOP;
    parent := origin;
"""

# CREATE TABLE ... PARTITION OF would lock the parent ACCESS EXCLUSIVE; ATTACH locks it
# SHARE UPDATE EXCLUSIVE, and there is no row to scan.
EXTEND = f"""
    WHILE beyond < ahead LOOP
        since := until;
        EXECUTE format('SELECT (%1$L::%2$s + %3$L::%4$s)::%2$s::text, %1$L::%2$s > %5$L::%2$s',
            since, kind, step, CASE WHEN step ~ '^[0-9]+$' THEN kind ELSE 'interval' END, reached)
            INTO until, is_beyond;
        made := '_from_' || {named_after("since")};
        made := format('%I.%I', place, {fitted("base", "made")});
        PERFORM set_config('default_tablespace', coalesce((
            SELECT spcname FROM pg_catalog.pg_class AS class
            JOIN pg_catalog.pg_tablespace AS s ON s.oid = reltablespace
            WHERE class.oid = pattern), ''), true);
        EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED '
            'INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)%s', made, parent, (
                SELECT ' WITH (' || string_agg(format('%s%s=%L', its.prefix,
                    split_part(option, '=', 1), substr(option, strpos(option, '=') + 1)), ', ')
                    || ')'
                FROM (
                    SELECT '' AS prefix, reloptions FROM pg_catalog.pg_class WHERE oid = pattern
                    UNION ALL
                    SELECT 'toast.', toast.reloptions FROM pg_catalog.pg_class AS class
                    JOIN pg_catalog.pg_class AS toast ON toast.oid = class.reltoastrelid
                    WHERE class.oid = pattern
                ) AS its, unnest(its.reloptions) AS option));
        EXECUTE format('ALTER TABLE %s OWNER TO %I', made, pg_get_userbyid(own.relowner));
        EXECUTE format('COMMENT ON TABLE %s IS %L', made, '{COMMENT}' || step);
{tuned("pattern", "made")}
        PERFORM set_config('default_tablespace', '', true);  -- indexes have their own
        BEGIN
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                parent, made, since, until);
        EXCEPTION WHEN check_violation THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('The default partition of %s holds rows from %s to %s.',
                    parent, since, until),
                HINT = 'Detach it, add the partitions, insert its rows into the table, and leave '
                    'it detached: with a default partition each new one waits for a scan of it.';
        END;
        beyond := beyond + coalesce(is_beyond, true)::int;
    END LOOP;
"""
