"""The first partition takes the place of the table again."""

from pgmodern.operations.partitions.bound import FORGET
from pgmodern.operations.partitions.intervals import COMMENT, SPLIT
from pgmodern.operations.partitions.locked import LOCK
from pgmodern.operations.partitions.names import fitted, named_after

FIND_FIRST = f"""
    SELECT atttypid::regtype::text INTO kind FROM pg_catalog.pg_partitioned_table
    JOIN pg_catalog.pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE partrelid = origin;
    IF own.relkind = 'r' THEN
{FORGET}
        EXIT work;
    END IF;
    SELECT part, upper INTO taker, until FROM ({SPLIT}) AS divided
    WHERE lower = 'MINVALUE' AND comment LIKE '{COMMENT}%';
    IF taker IS NULL AND if_possible THEN
        RAISE NOTICE 'kept % partitioned: its first partition is gone', origin;
        EXIT work;
    ELSIF taker IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s has no first partition of op.partition_table_online.', origin),
            HINT = 'It was dropped, or the table was partitioned by other means: leave it so.';
    END IF;
"""

LOCK_PARTITIONS = f"""
    number := (SELECT count(*) - 1 FROM pg_catalog.pg_partition_tree(origin));
{LOCK}    -- ACCESS EXCLUSIVE on the partitions too
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', origin);
"""

REFUSE_ROWS = """
    FOR each IN
        SELECT inhrelid::regclass AS part FROM pg_catalog.pg_inherits
        WHERE inhparent = origin AND inhrelid <> taker ORDER BY inhrelid
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', each.part) INTO is_beyond;
        IF is_beyond THEN
            cause := concat_ws(', ', cause, each.part);
        END IF;
    END LOOP;
    IF cause <> '' AND if_possible THEN
        RAISE NOTICE 'kept % partitioned: rows lie outside of its first partition, in %',
            origin, cause;
        EXIT work;
    ELSIF cause <> '' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s cannot become one table again: rows lie outside of its first '
                'partition, in %s.', origin, cause),
            HINT = 'Leave it partitioned; or copy these rows to a table of their own, delete '
                'them here, and insert them again when it is one table.';
    END IF;
"""

DETACH = """
    giver := origin;
    indexes := (
        SELECT jsonb_agg(jsonb_build_object('oid', c.indexrelid, 'name', class.relname))
        FROM pg_catalog.pg_index AS p JOIN pg_catalog.pg_class AS class ON class.oid = p.indexrelid
        JOIN pg_catalog.pg_inherits ON inhparent = p.indexrelid
        JOIN pg_catalog.pg_index AS c ON c.indexrelid = inhrelid
        WHERE p.indrelid = origin AND c.indrelid = taker);
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', origin, taker);
"""

# The partitions that are dropped with the table are empty.
TAKE_PLACE = f"""
    made := '_until_' || {named_after("until")};
    facts := (
        SELECT jsonb_agg(jsonb_build_object('now', format('%I.%I', nspname, mine.stxname),
            'then', its.stxname))
        FROM pg_catalog.pg_statistic_ext AS its
        JOIN pg_catalog.pg_statistic_ext AS mine ON mine.stxnamespace = its.stxnamespace
            AND mine.stxname = {fitted("its.stxname::text", "made")}
        JOIN pg_catalog.pg_namespace AS n ON n.oid = its.stxnamespace
        WHERE its.stxrelid = origin AND mine.stxrelid = taker);
    EXECUTE format('DROP TABLE %s', origin);
    FOR each IN SELECT fact FROM jsonb_array_elements(facts) AS fact LOOP
        EXECUTE format('ALTER STATISTICS %s RENAME TO %I',
            each.fact ->> 'now', each.fact ->> 'then');
    END LOOP;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', taker, base);
    FOR each IN
        SELECT (moved ->> 'oid')::oid::regclass AS index, moved ->> 'name' AS name
        FROM jsonb_array_elements(indexes) AS moved
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', each.index, each.name);
    END LOOP;
"""
