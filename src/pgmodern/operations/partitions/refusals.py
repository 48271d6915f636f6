"""What cannot be kept when a table changes places with one that holds it, and the cures."""

# Of the table that gives its place away, there and back.
_NOT_CARRIED = """
        SELECT 'it is used by ' || string_agg(DISTINCT used.by, ', ') AS cause,
            'Drop that first, in a revision before this one, and create it again afterwards: it '
            'follows the table, which will be a part of itself.' AS cure
        FROM (
            SELECT pg_describe_object(classid, objid, objsubid) AS by FROM pg_catalog.pg_depend AS d
            WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid = origin
            AND objid <> origin AND deptype IN ('n', 'a', 'i') AND NOT (CASE classid
                WHEN 'pg_catalog.pg_type'::regclass THEN objid = own.reltype
                WHEN 'pg_catalog.pg_attrdef'::regclass THEN true
                WHEN 'pg_catalog.pg_trigger'::regclass THEN true
                WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN true
                WHEN 'pg_catalog.pg_constraint'::regclass THEN EXISTS (
                    SELECT FROM pg_catalog.pg_constraint
                    WHERE oid = objid AND conrelid = origin AND confrelid <> origin)
                WHEN 'pg_catalog.pg_class'::regclass THEN EXISTS (
                    SELECT FROM pg_catalog.pg_class
                    WHERE oid = objid AND (relkind IN ('i', 'I', 'S', 't') OR relispartition))
                ELSE false END)
        UNION
            SELECT pg_describe_object(classid, objid, objsubid)
            FROM pg_catalog.pg_type AS row_type
            JOIN pg_catalog.pg_depend AS d ON refclassid = 'pg_catalog.pg_type'::regclass
                AND refobjid IN (row_type.oid, row_type.typarray) AND deptype = 'n'
            WHERE row_type.oid = own.reltype
        ) AS used
        HAVING count(*) > 0
    UNION ALL
        SELECT 'row level security is on', 'ALTER TABLE ... DISABLE ROW LEVEL SECURITY first.'
        WHERE own.relrowsecurity OR own.relforcerowsecurity
    UNION ALL
        SELECT 'its replica identity is not the default',
            'ALTER TABLE ... REPLICA IDENTITY DEFAULT first.'
        WHERE own.relreplident <> 'd'
"""

# One row (cause, cure) for each thing that stands in the way. Names that it takes from around it:
# the row `own` of pg_class, and `origin`, `place`, `key`, `kind` and `step` as in a block.
REFUSALS = f"""
        SELECT 'it is no ordinary, logged table of its own', 'Only such a table can be partitioned.'
        WHERE own.relkind <> 'r' OR own.relpersistence <> 'p' OR own.reloftype <> 0
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE origin IN (inhrelid, inhparent))
    UNION ALL
        SELECT format('it has no column %I of a type that divides into ranges', key),
            'Name a column of type timestamptz, timestamp, date, bigint, integer or smallint.'
        WHERE kind IS NULL OR kind NOT IN ('timestamp with time zone', 'date', 'bigint', 'integer',
            'timestamp without time zone', 'smallint')
    UNION ALL
        SELECT format('its column %I may be null', key),
            'Make it NOT NULL first, in a revision before this one: op.set_not_null_online.'
        FROM pg_catalog.pg_attribute
        WHERE attrelid = origin AND attname = key AND NOT attnotnull
    UNION ALL
        SELECT format('its column %I is generated', key), 'Divide by a column that is written.'
        FROM pg_catalog.pg_attribute
        WHERE attrelid = origin AND attname = key AND attgenerated <> ''
    UNION ALL
        SELECT format('the interval %L does not suit a column of type %s', step, kind),
            'Give a whole number for a number; months, or days, for a date; for a time also hours.'
        WHERE CASE
            WHEN kind IN ('bigint', 'integer', 'smallint') THEN step !~ '^[1-9][0-9]{{0,17}}$'
            WHEN step ~ '^[0-9]+$' THEN true
            WHEN step::interval = make_interval(months => extract(month FROM step::interval)::int
                + 12 * extract(year FROM step::interval)::int) THEN step::interval <= '0'
            ELSE extract(month FROM step::interval) <> 0 OR extract(year FROM step::interval) <> 0
                OR step::interval <= '0'
                OR kind = 'date' AND extract(epoch FROM step::interval) % 86400 <> 0 END
    UNION ALL
        SELECT format('the unique index %I does not contain the column %I', class.relname, key),
            'A partitioned table can only be unique over keys that contain its partition column: '
            'put it into the key, or drop the index.'
        FROM pg_catalog.pg_index JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
        WHERE indrelid = origin AND indisunique AND NOT EXISTS (
            SELECT FROM unnest(indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = origin AND a.attnum = part.attnum
            WHERE part.place <= indnkeyatts AND a.attname = key)
    UNION ALL
        SELECT format('the index %I belongs to an exclusion constraint', indexrelid::regclass),
            'Drop the constraint: it could not see the rows of other partitions.'
        FROM pg_catalog.pg_index WHERE indrelid = origin AND indisexclusion
    UNION ALL
        SELECT format('the index %s is invalid', indexrelid::regclass),
            'Drop it, or build it again, first.'
        FROM pg_catalog.pg_index WHERE indrelid = origin AND NOT (indisvalid AND indisready)
    UNION ALL
        SELECT format('the constraint %I is not validated', conname),
            'ALTER TABLE ... VALIDATE CONSTRAINT first.'
        FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND NOT convalidated AND conname NOT LIKE 'pgmodern\\_before\\_%'
    UNION ALL
        SELECT format('the constraint %I is NO INHERIT', conname),
            'Drop it first: a partitioned table has none such.'
        FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND connoinherit AND contype IN ('c', 'n')
    UNION ALL
{_NOT_CARRIED}    UNION ALL
        -- Releases before 16.5 and 17.1 cannot detach a partition that has one.
        SELECT format('its foreign key %I points at a partitioned table', conname),
            'Drop it first, in a revision before this one, and add it again afterwards.'
        FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_class AS its ON its.oid = confrelid
        WHERE conrelid = origin AND contype = 'f' AND conparentid = 0 AND its.relkind = 'p'
    UNION ALL
        SELECT format('the publication %I would publish its partitions instead', p.pubname),
            'ALTER PUBLICATION ... SET (publish_via_partition_root = true) first.'
        FROM pg_catalog.pg_publication_tables AS published
        JOIN pg_catalog.pg_publication AS p USING (pubname)
        WHERE schemaname = place AND tablename = own.relname AND NOT pubviaroot
    UNION ALL
        SELECT format('the row trigger %I has transition tables', tgname),
            'Drop it first: a partition cannot have such a trigger.'
        FROM pg_catalog.pg_trigger WHERE tgrelid = origin AND tgtype::int & 1 = 1
        AND (tgoldtable IS NOT NULL OR tgnewtable IS NOT NULL)
    UNION ALL
        SELECT format('%s was granted by another than its owner', privilege),
            'Let the owner grant it.'
        FROM (
            SELECT (aclexplode(own.relacl)).*
            UNION ALL
            SELECT (aclexplode(attacl)).* FROM pg_catalog.pg_attribute WHERE attrelid = origin
        ) AS granted (grantor, grantee, privilege, with_option)
        WHERE grantor <> own.relowner
"""

REFUSE_PARTITIONING = f"""
    SELECT refusal.cause, refusal.cure INTO cause, cure FROM (
{REFUSALS}    ) AS refusal (cause, cure) LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s cannot be partitioned by %I: %s.', origin, key, cause),
            HINT = cure;
    END IF;
"""

REFUSE_EXCHANGE = f"""
    SELECT refusal.cause, refusal.cure INTO cause, cure FROM (
{_NOT_CARRIED}    ) AS refusal (cause, cure) LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s cannot be exchanged: %s.', origin, cause),
            HINT = cure;
    END IF;
"""
